"""recipes/paper: the paper's twelve tasks in the sizes that it reports, under its preset, with its ten experts.

Each reads questions in the form of the authors' files, and is searched on slices with a small pool.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hswarm.config.recipe import read_recipe
from hswarm.engines.base import Completion
from hswarm.errors import EngineError
from hswarm.experiments.search import search
from hswarm.runs.answers import _marks
from hswarm.system.system import System
from hswarm.tasks import load_task, named

ROOT = Path(__file__).parent.parent
NAMES = ["abkg", "com2", "gaia", "gsm8k", "knowledge_crosswords", "ltp", "mmlu", "mmlu_pro"]
NAMES += ["nlgraph", "normad", "qasper", "wow"]


def test_there_is_one_a_task() -> None:
    assert sorted(path.stem for path in (ROOT / "recipes/paper").glob("*.toml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_the_paper_s_setting(name: str) -> None:
    recipe = read_recipe(ROOT / f"recipes/paper/{name}.toml")
    task = getattr(named, name)
    assert recipe.preset == "paper"
    assert recipe.task.name == name
    assert task.sizes is None or (recipe.task.dev, recipe.task.test) == task.sizes
    assert len(recipe.pool.experts) == 10
    assert recipe.pool.base == "google/gemma-7b-it"


def slices(folder: Path, name: str) -> list[str]:
    """Eight questions in the form of the authors' file, and what makes the recipe search them with three micro experts."""
    task, rows = getattr(named, name), list[dict[str, object]]()
    for i in range(8):
        row: dict[str, object] = {"question": f"What is {i} + {i}?", "answer": str(2 * i), "id": str(i)}
        if task.scorer in ("choice", "abstain"):
            row |= {"choices": {"A": "an odd number", "B": "an even number"}, "answer": "AB"[i % 2]}
        if name in ("gaia", "qasper"):
            row["context_chunks"] = [f"Chunk {part} of ten." for part in range(10)]
        rows.append(row)
    (folder / f"{name}.json").write_text(json.dumps({"dev": rows[:4], "test": rows[4:]}))
    micro = ROOT / "experts/micro"
    pool = [f"pool.path={micro}/pool", f"pool.base={micro}/base", 'pool.experts=["tav", "lun", "wex"]']
    small = ["search.graphs=2", "search.assignments=2", "search.iterations=1", "search.nodes=2"]
    ends = ["task.max_new_tokens=2", "sampling.max_new_tokens=2", "engine.dtype=float32"]
    return [*pool, *small, *ends, f"task.path={folder}", "task.dev=4", "task.test=4"]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_reads_slices_of_the_authors_form(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(ROOT / f"recipes/paper/{name}.toml", slices(tmp_path, name))
    found = load_task(recipe.task)
    assert (len(found.dev), len(found.test), found.name) == (4, 4, name)
    prompt = recipe.prompts.fitted(found).render(found.dev[1])
    assert found.dev[1].question in prompt
    assert ("an even number" in prompt) == bool(found.dev[1].choices)
    assert len(found.dev[1].context) == (10 if name in ("gaia", "qasper") else 0)


@pytest.mark.parametrize("name", ["mmlu", "ltp"])
def test_answers_of_a_scorer_that_asks_further_have_no_marks_of_their_own(name: str, tmp_path: Path) -> None:
    """Their search ended with an error when its answers were written."""
    task = load_task(read_recipe(ROOT / f"recipes/paper/{name}.toml", slices(tmp_path, name)).task)
    evaluator: Any = SimpleNamespace(task=task, dev=task.dev)
    assert _marks(evaluator, cast(System, None), [[Completion("A", "stop", 1, 1)] * 4]) == []


@pytest.mark.model
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_searches_slices_with_a_small_pool(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(ROOT / f"recipes/paper/{name}.toml", slices(tmp_path, name))
    if name in ("ltp", "qasper"):  # the base judges, and so small a one rates nothing that can be read
        with pytest.raises(EngineError, match="a rating that cannot be read"):
            search(recipe, tmp_path / "run")
        return
    run = search(recipe, tmp_path / "run")
    assert run.finished
    assert run.report.test is not None
    assert run.report.test.n == 4
