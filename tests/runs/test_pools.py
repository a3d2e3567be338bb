"""Searches over whole checkpoints, over mixed pools, over updates: they run from the command line and resume byte-equal."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hswarm
from hswarm.cli.main import main
from hswarm.config.recipe import Recipe, build_recipe
from hswarm.experiments.search import resume, search
from hswarm.runs.progress import Progress
from tests.engines.tiny import adapter_of, llama

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two checkpoints, two adapters of one of them of different ranks, two adapters of a wider model."""
    folder = tmp_path_factory.mktemp("pools")
    for seed, name in enumerate("ab"):
        llama(folder / "full" / name, seed)
    wide = llama(folder / "wide", 5, hidden=32)
    for seed, (name, rank) in enumerate((("w1", 2), ("w2", 3))):
        adapter_of(wide, folder / "delta" / name, rank, seed, ["q_proj", "v_proj"])
    (folder / "mixed").mkdir()
    for source in (folder / "full" / "a", folder / "full" / "b", folder / "delta" / "w1", folder / "delta" / "w2"):
        (folder / "mixed" / source.name).symlink_to(source)
    (folder / "task.jsonl").write_text(
        "".join(
            json.dumps({"question": f"What follows {c}?", "answer": chr(ord(c) + 1), "split": split}) + "\n"
            for split, letters in (("dev", "abcd"), ("test", "efg"))
            for c in letters
        )
    )
    return folder


def recipe(root: Path, pool: Any, **search: Any) -> Recipe:
    """Every letter in a reply scores, so that random weights differ."""
    settings = {"method": "hswarm", "graphs": 2, "assignments": 3, "iterations": 3, "patience": 3} | search
    return build_recipe(
        {
            "pool": {"path": str(root / pool["path"])} | {k: v for k, v in pool.items() if k != "path"},
            "task": {"path": str(root / "task.jsonl"), "scorer": "reference", "max_new_tokens": 12},
            "engine": {"dtype": "float32"},
            "search": settings,
        }
    )


class Interrupt(Progress):
    """Breaks off in the weight-step of the second iteration."""

    phase = ""

    def begin(self, phase: Any, calls: Any, ahead: Any) -> None:
        self.phase = phase

    def advance(self, calls: Any) -> None:
        if self.phase == "iteration 2: weights":
            raise KeyboardInterrupt


def result(path: Path) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    report = json.loads((path / "report.json").read_text())
    files = {str(f.relative_to(path)): f.read_bytes() for f in sorted((path / "best").rglob("*")) if f.is_file()}
    return (path / "history.jsonl").read_bytes(), {k: v for k, v in report.items() if k != "wall_s"}, files


POOLS = [
    {"path": "full"},
    {"path": "delta", "space": "delta", "rank": 3},
    {"path": "mixed", "space": "delta", "mixed": True},
]


@pytest.mark.parametrize("pool", POOLS, ids=["checkpoints", "delta", "mixed"])
def test_a_search_interrupted_and_resumed_is_never_stopped(root: Path, tmp_path: Path, pool: dict[str, Any]) -> None:
    search(recipe(root, pool), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        search(recipe(root, pool), tmp_path / "broken", Interrupt())
    assert len((tmp_path / "broken/history.jsonl").read_text().splitlines()) == 1
    resume(tmp_path / "broken")
    assert result(tmp_path / "whole") == result(tmp_path / "broken")


@pytest.mark.parametrize("pool", POOLS, ids=["checkpoints", "delta", "mixed"])
def test_the_saved_system_is_the_scored_one(root: Path, tmp_path: Path, pool: dict[str, Any]) -> None:
    run = search(recipe(root, pool), tmp_path / "run")
    system = hswarm.load(run.path)
    from hswarm.scorers import get_scorer
    from hswarm.session.session import Session
    from hswarm.system.executor import Executor

    parts = Session.load(run.recipe)
    (nodes,) = Executor(hswarm_engine(system)).run([system], parts.task.dev, "again")
    answers = [completion.text for completion in nodes[system.topology.sink]]
    scores = get_scorer("reference")(parts.task.dev, answers)
    assert np.mean([score.value for score in scores]) == run.report.dev.score
    assert system.respond([e.question for e in parts.task.dev]) == answers


def hswarm_engine(system: Any) -> Any:
    from hswarm.engines import open_engine

    return open_engine(system.engine, system.bases)


def test_weights_move_within_each_group_alone(root: Path, tmp_path: Path) -> None:
    """In a mixed pool the experts of a group change, and no blend ever crosses groups."""
    from hswarm.methods.hswarm import Search

    seen = []
    stand = Search._stand

    def watched(self: Any, shares: Any) -> Any:
        seen.append(shares.copy())
        return stand(self, shares)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Search, "_stand", watched)
        search(recipe(root, POOLS[2]), tmp_path / "run")
    assert len(seen) == 4
    moved = seen[-1]
    assert np.abs(moved - np.eye(4)).max() > 0.01
    for shares in seen:
        np.testing.assert_array_equal(shares[:2, 2:], 0)
        np.testing.assert_array_equal(shares[2:, :2], 0)
        np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_experts_of_two_sizes_are_compared_with_each_alone(root: Path, tmp_path: Path) -> None:
    written = tmp_path / "mixed.toml"
    pool = {"path": "mixed", "mixed": True, "space": "delta"}
    written.write_text(recipe(root, pool, iterations=1).model_copy(update={"name": "mixed"}).to_toml())
    assert main(["study", "sizes", str(written), "--seeds", "1", "--run", str(tmp_path / "sizes")]) == 0
    numbers = json.loads((tmp_path / "sizes/study.json").read_text())["numbers"]
    assert len(numbers) == 4
    found = {
        label: hswarm.load(tmp_path / "sizes" / f"mixed-{label}" / "role_only/0/system").assignment
        for label in ("group-1", "group-2", "mixed")
    }
    assert set(found["group-1"]) <= {"a", "b"}
    assert set(found["group-2"]) <= {"w1", "w2"}
    assert set(found["mixed"]) == {"a", "w1"}
