"""A skill is missing from the pool: the gaps name it, and a search with the expert goes on from the first one."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hswarm.analysis import analyze
from hswarm.analysis.context import Options
from hswarm.analysis.gaps import Word
from hswarm.config.recipe import build_recipe
from hswarm.errors import ConfigError, RunError
from hswarm.experiments.search import resume, search
from hswarm.runs.directory import Run
from tests.conftest import ROOT, Interrupt, toy_content

pytestmark = pytest.mark.model


def recipe(*experts: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "gaps",
        "pool": {
            "path": str(ROOT / "experts/micro/pool"),
            "base": str(ROOT / "experts/micro/base"),
            "experts": list(experts),
            "space": "delta",
        },
        "engine": {"dtype": "float32"},
        "task": {"name": "micro", "datasets": ["tav+wex+zor"], "dev": 24, "test": 12, "max_new_tokens": 14},
        "budget": {"calls": 300},
    } | more


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A search without the expert of "zor"."""
    return search(build_recipe(recipe("tav", "wex")), tmp_path_factory.mktemp("gaps") / "first")


def test_gaps_name_the_missing_skill(first: Run) -> None:
    (found,) = analyze(first.path, ["gaps"], Options())
    lines = (first.path / "answers.jsonl").read_text().splitlines()
    dev = {line["id"]: line["question"] for line in map(json.loads, lines)}
    missing = [id for id, question in dev.items() if "zor" in question.split()]
    assert set(missing) <= set(found.numbers["gaps"])
    words = [Word(**word) for word in found.numbers["words"]]
    assert words[0].word == "zor"
    assert words[0].gaps == len(missing)
    assert words[0].others == 0
    assert found.calls["made"] == 0
    assert f"{len(found.numbers['gaps'])} of 24 dev questions" in found.says[0]


def test_a_search_with_the_expert_goes_on_from_there(first: Run, tmp_path: Path) -> None:
    content = recipe("zor", "wex", "tav")  # another order: experts are told apart by what they are
    content["search"] = {"start": str(first.path)}
    content["budget"] = {"calls": 200}
    run = search(build_recipe(content), tmp_path / "second")
    assert run.report.test
    assert first.report.test
    assert (run.report.test.score or 0) > (first.report.test.score or 0) + 0.2
    assert run.report.dev.score == pytest.approx(run.history()[-1].best.utility)
    alone = run.history()[0]
    assert alone.calls.generated <= 24  # the new expert on the questions, the others were asked
    assert run.report.growth
    assert run.report.growth.tried > first.history()[-1].growth.known  # type: ignore[union-attr]


@pytest.mark.slow
def test_interrupted_and_resumed_without_the_first_run_it_ends_the_same(first: Run, tmp_path: Path) -> None:
    shutil.copytree(first.path, tmp_path / "first")
    content = recipe("tav", "wex", "zor", search={"start": str(tmp_path / "first")}, budget={"calls": 150})
    whole = search(build_recipe(content), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        search(build_recipe(content), tmp_path / "broken", Interrupt(8))
    assert (tmp_path / "broken/state/state.safetensors").is_file()
    shutil.rmtree(tmp_path / "first")
    broken = resume(tmp_path / "broken")
    assert (broken.path / "history.jsonl").read_bytes() == (whole.path / "history.jsonl").read_bytes()
    assert broken.report.topology == whole.report.topology


def test_what_cannot_be_gone_on_from_is_refused(first: Run, tmp_path: Path) -> None:
    content = recipe("tav", "zor", search={"start": str(first.path)})
    content["task"] = content["task"] | {"seed": 5}
    with pytest.raises(ConfigError, match="other dev questions"):
        search(build_recipe(content), tmp_path / "run")
    with pytest.raises(RunError, match="no run at"):
        search(build_recipe(recipe("tav", "zor", search={"start": str(tmp_path / "none")})), tmp_path / "none-run")
    with pytest.raises(ConfigError, match="start is for the methods of growth"):
        build_recipe(toy_content(start="x"))


def test_a_run_without_scores_of_questions_has_no_gaps(tmp_path: Path) -> None:
    run = search(build_recipe(toy_content()), tmp_path / "run")
    with pytest.raises(RunError, match="search with growth"):
        list(analyze(run.path, ["gaps"], Options()))
