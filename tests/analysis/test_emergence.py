"""The search followed again from its cache, and what turned right on the way."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hswarm import Topology
from hswarm.analysis import analyze
from hswarm.analysis.context import AnalysisContext, Options
from hswarm.analysis.emergence import _states, followed_questions
from hswarm.analysis.replay import Replay, Scored
from hswarm.config.recipe import Recipe, build_recipe
from hswarm.errors import RunError
from hswarm.experiments.search import search
from hswarm.runs.directory import Run
from tests.analysis.hand import FIRST, SECOND, hand_run, toy_system
from tests.conftest import toy_content

PAIR = Topology.chain(2)


def scored(step: str, right: list[int]) -> Scored:
    scores = np.array(right, dtype=float)
    return Scored(step, PAIR, ("a", "b"), scores, float(scores.mean()))


def test_the_hand_worked_case() -> None:
    """Four questions, two iterations: the second one's best gains the third question and loses the first."""
    followed = Replay(
        (
            scored("start", [1, 0, 0, 0]),
            scored("0/role", [1, 1, 0, 0]),
            scored("0/weight", [0, 0, 0, 1]),
            scored("1/role", [0, 1, 1, 1]),
            scored("1/weight", [1, 1, 1, 0]),
        ),
        {},
        2,
    )
    leaders, right, touched = followed_questions(followed)
    assert [leader.step for leader in leaders] == ["0/role", "1/role"]  # of equals the first
    assert right.tolist() == [[True, True, False, False], [False, True, True, True]]
    assert touched.tolist() == [[True, True, False, True], [True, True, True, True]]
    # right twice; right, then lost; a question that another system had; one that nobody had at first
    assert _states(right, touched).tolist() == [[0, 0], [0, 1], [2, 0], [-1, 0]]


@pytest.mark.parametrize(
    "changes",
    [{}, {"steps": ["role"]}, {"steps": ["weight"]}, {"threshold": 0.5, "drop_n": 0.3}],
)
def test_a_search_is_followed_without_a_call(tmp_path: Path, changes: dict[str, Any]) -> None:
    run = search(build_recipe(toy_content(**changes)), tmp_path / "run")
    (found,) = analyze(run.path, ["emergence"])
    assert found.calls["made"] == 0
    best = [line.best for line in run.history()]
    assert found.numbers["steps"] == [line.step for line in best]
    assert [np.mean(row) for row in found.numbers["right"]] == pytest.approx([line.utility for line in best])
    assert found.svg.count("<rect") > 3


def test_a_search_that_a_budget_ended_is_followed(tmp_path: Path) -> None:
    content = toy_content() | {"budget": {"calls": 300}}
    run = search(build_recipe(content), tmp_path / "run")
    assert "budget" in run.report.stopped
    (found,) = analyze(run.path, ["emergence"])
    assert found.calls["made"] == 0
    assert len(found.numbers["steps"]) == len(run.history())


def test_the_experts_of_the_found_system_are_there(tmp_path: Path, toy_recipe: Recipe) -> None:
    run = search(toy_recipe, tmp_path / "run")
    with AnalysisContext.open(Run.open(run.path), Options()) as subject:
        digests = {expert.digest for expert in subject.replay.experts.values()}
        assert {expert.digest for expert in run.best.experts} <= digests
        assert set(subject.replay.experts) == set(subject.session.pool.names)


def test_what_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    run = hand_run(tmp_path, toy_system(Topology.chain(2), [FIRST, SECOND]))
    lines = [json.loads(line) for line in (run.path / "history.jsonl").read_text().splitlines()]
    lines[0]["role"]["utilities"][0] = 0.123
    (run.path / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RunError, match="iteration 0 scores otherwise"):
        list(analyze(run.path, ["emergence"]))
    bare = search(build_recipe(toy_content(reuse=False)), tmp_path / "bare")
    list(analyze(bare.path, ["emergence"]))  # its calls were kept, each by the step that made it
    (bare.path / "cache.sqlite").unlink()
    with pytest.raises(RunError, match="lacks calls"):
        list(analyze(bare.path, ["emergence"]))
