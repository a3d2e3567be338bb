"""Every setting of the authors' search script acts here, in the way that docs/fidelity.md states, on the toy engine."""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import hswarm
from hswarm.cli.main import main
from hswarm.config.recipe import Recipe, build_recipe
from hswarm.core.decode import Array, g_decode
from hswarm.engines.toy import toy_pool
from hswarm.errors import ConfigError, RunError
from hswarm.experiments.search import resume, search
from hswarm.experts.adapter import Adapter
from hswarm.experts.interpolate import populated
from hswarm.experts.pool import ExpertPool, PoolSettings, open_pool
from hswarm.experts.remote import RemoteExpert, RemoteSettings
from hswarm.methods.hswarm import Search, SwarmsState
from hswarm.runs.directory import Run
from hswarm.session.checkpoint import Checkpointer
from hswarm.session.records import HistoryEntry, State
from hswarm.session.session import Session, planned_calls
from hswarm.system.system import System
from hswarm.tasks import toy
from tests.conftest import toy_content
from tests.known import adapter, known, of_kind, score

SWARMS = pytest.mark.parametrize("swarm", ["role", "weight"])
STILL = {
    "inertia": 0,
    "cognitive": 0,
    "social": 0,
    "repel": 0,
    "step_length": 0.5,
    "step_factor": 1.0,
    "restart": False,
    "coefficients_random": False,
}


def recipe_of(sections: Any = None, **changes: Any) -> Recipe:
    """A small toy recipe; `sections` are merged into its own, keywords change `[search]`."""
    content = toy_content(**changes)
    for section, values in (sections or {}).items():
        content[section] = {**content.get(section, {}), **values}
    return build_recipe(content)


def searched(path: Path, sections: Any = None, **changes: Any) -> Run:
    """A finished run of `recipe_of` the arguments."""
    return search(recipe_of(sections, **changes), path)


class Recorder(Checkpointer):
    """Keeps every checkpoint of a search."""

    def __init__(self) -> None:
        self.states = list[tuple[dict[str, Array], SwarmsState]]()

    def keep(self, entry: HistoryEntry, tensors: Mapping[str, Array], state: State, best: System) -> None:
        self.states.append((dict(tensors), of_kind(SwarmsState, state)))


class Moves:
    """A swarm as it stood after 1, 2, ... iterations of a search; nothing moves in the first."""

    def __init__(self, swarm: str, iterations: int, **settings: object) -> None:
        recipe = recipe_of({swarm: STILL | settings}, iterations=iterations, patience=99)
        parts, recorder = Session.load(recipe), Recorder()
        evaluator = parts.evaluator
        evaluator.checkpointer = recorder
        Search(parts.pool, evaluator, np.random.default_rng(recipe.seed)).go()
        key = "role" if swarm == "role" else "weight0"
        self.states: list[dict[str, Any]] = [
            {
                name: tensors[f"{key}.{name}"]
                for name in ("positions", "velocities", "personal", "best", "worst", "cooldown")
            }
            | state.swarms[key]
            for tensors, state in recorder.states
        ]

    def moved(self) -> Any:
        """How the first move changed the positions."""
        return self.states[1]["positions"] - self.states[0]["positions"]

    def __getitem__(self, name: str) -> Any:
        return self.states[0][name]


@SWARMS
def test_inertia(swarm: str) -> None:
    moves = Moves(swarm, 3, inertia=1)
    assert np.abs(moves.moved()).max() > 0
    assert np.allclose(moves.states[2]["positions"], moves["positions"] + 2 * moves.moved())


@SWARMS
def test_cognitive(swarm: str) -> None:
    states = Moves(swarm, 6, inertia=1, cognitive=1).states
    pulls = [state["personal"] - state["positions"] for state in states]
    assert any(np.abs(pull).max() > 0 for pull in pulls[1:-1])
    for state, pull, after in list(zip(states, pulls, states[1:], strict=False))[1:]:
        assert np.allclose(after["positions"], state["positions"] + 0.5 * (state["velocities"] + pull) / 2)


@SWARMS
def test_social(swarm: str) -> None:
    moves = Moves(swarm, 2, social=1)
    assert np.abs(moves.moved()).max() > 0
    assert np.allclose(moves.moved(), 0.5 * (moves["best"] - moves["positions"]))


@SWARMS
def test_repel(swarm: str) -> None:
    moves = Moves(swarm, 2, repel=1)
    assert np.abs(moves.moved()).max() > 0
    assert np.allclose(moves.moved(), 0.5 * (moves["positions"] - moves["worst"]))


@SWARMS
def test_repel_of_zero_is_no_repel_term(swarm: str) -> None:
    without, plain = (Moves(swarm, 2, social=1, repel=repel).moved() for repel in (0, 0.5))
    pull = Moves(swarm, 1)
    assert np.allclose(without, 0.5 * (pull["best"] - pull["positions"]))
    assert not np.allclose(plain, without)


@SWARMS
def test_step_length(swarm: str) -> None:
    short, long = (Moves(swarm, 2, social=1, step_length=length).moved() for length in (0.25, 0.75))
    assert np.allclose(long, 3 * short)


@SWARMS
def test_step_factor_and_min_step_length(swarm: str) -> None:
    moves = Moves(swarm, 4, social=1, step_length=1.0, step_factor=0.5, min_step_length=0.4)
    assert [state["step"] for state in moves.states] == [1.0, 0.5, 0.4, 0.4]


@SWARMS
def test_coefficients_random(swarm: str) -> None:
    fixed, random = (Moves(swarm, 2, social=1, repel=1, coefficients_random=yes) for yes in (False, True))
    pulls = np.stack([fixed["best"] - fixed["positions"], fixed["positions"] - fixed["worst"]], axis=2)
    assert np.allclose(fixed.moved(), 0.5 * pulls.mean(axis=2))
    shares = []
    for particle, moved in zip(pulls, random.moved(), strict=True):
        share = np.linalg.lstsq(particle, moved / 0.5, rcond=None)[0]
        assert np.allclose(particle @ share, moved / 0.5)
        shares.append(share)
    assert not np.allclose(random.moved(), fixed.moved())
    assert len(np.unique(np.round(shares, 6), axis=0)) > 1  # drawn particle by particle


@SWARMS
@pytest.mark.parametrize("mode", ["zero", "random", "best"])
def test_velocity(swarm: str, mode: str) -> None:
    moves = Moves(swarm, 2, inertia=1, velocity=mode)
    where, start = moves["positions"], moves.moved() / 0.5
    if mode == "zero":
        assert not start.any()
    elif mode == "best":
        assert np.allclose(start, moves["best"] - where)
    else:
        for i, velocity in enumerate(start):
            assert any(np.allclose(velocity, where[j] - where[i]) for j in range(len(where)) if j != i)


def restarts(moves: Any) -> list[Any]:
    """The iterations in which some particle went back to its personal best with zero velocity."""
    found = []
    for number, (before, after) in enumerate(pairwise(moves.states), 1):
        back = [
            np.array_equal(after["positions"][i], before["personal"][i])
            and not after["velocities"][i].any()
            and after["cooldown"][i] > before["cooldown"][i]
            for i in range(len(before["personal"]))
        ]
        found += [number] if any(back) else []
    return found


@SWARMS
def test_restart_and_restart_patience(swarm: str) -> None:
    settings = {"inertia": 1, "cognitive": 0.1, "patience": 4, "restart": True}
    soon, late = (restarts(Moves(swarm, 9, **settings, restart_patience=part)) for part in (0.5, 1.0))
    assert 3 <= min(soon) < min(late)  # two and four tells after the one that was the best
    assert min(late) >= 5
    assert restarts(Moves(swarm, 9, **(settings | {"restart": False}), restart_patience=0.5)) == []


def test_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.chdir(tmp_path)
    changes = ["--set", "name=nlgraph_0.1", "--set", "search.iterations=1"]
    assert main(["search", str(root / "recipes/toy.toml"), *changes]) == 0
    assert Run.open("runs/nlgraph_0.1").finished


def test_scorer(tmp_path: Path) -> None:
    exact, loose = (
        searched(tmp_path / name, {"task": {"scorer": name}}, iterations=1) for name in ("exact", "token-f1")
    )
    utilities = np.array([run.history()[0].role.utilities for run in (exact, loose)]) * 20  # of 20 questions
    assert np.allclose(utilities[0], np.round(utilities[0]))
    assert not np.allclose(utilities[1], np.round(utilities[1]))  # half an answer counts for a part


def test_task_path(tmp_path: Path) -> None:
    rows = {
        split: [{"id": e.id, "question": e.question, "answer": e.answer} for e in toy.generate(9, seed, 3)]
        for seed, split in enumerate(("dev", "test"))
    }
    (tmp_path / "mine.json").write_text(json.dumps(rows))
    run = searched(
        tmp_path / "run",
        {
            "task": {
                "name": "",
                "path": str(tmp_path / "mine.json"),
                "dev": None,
                "test": None,
                "scorer": "exact",
                "options": {},
            }
        },
    )
    assert (run.report.task, run.report.dev.n, known(run.report.test).n) == ("mine", 9, 9)


def test_graphs_and_iterations(tmp_path: Path) -> None:
    run = searched(tmp_path / "run", graphs=6, iterations=2)
    assert [len(line.role.utilities) for line in run.history()] == [6, 6]
    assert run.report.stopped == {"iterations": 2}


def test_patience(tmp_path: Path) -> None:
    run = searched(tmp_path / "run", patience=2, iterations=40)
    best = [line.best.utility for line in run.history()]
    assert run.report.stopped == {"patience": 2}
    assert best[-3] == best[-1]
    assert len(best) == 3 or best[-4] < best[-3]


@pytest.mark.parametrize("start", ["none", "best", "all"])
def test_start_on_test(tmp_path: Path, start: str) -> None:
    run = searched(tmp_path / "run", start_on_test=start, iterations=1, reuse=False)
    report, searching = run.report, run.history()[-1].calls.requested
    planned = planned_calls(run.recipe, 3, 20, 30)["test"]
    assert report.calls.requested - searching == planned == {"none": 3, "best": 7, "all": 9}[start] * 30
    assert (report.start.test is None) == (report.best_single.test is None) == (start == "none")
    assert (report.gain_on_test is not None) == (start != "none")
    assert len(report.singles_test) == (3 if start == "all" else 0)
    if start == "all":
        assert report.singles_test[report.best_single.expert] == score(report.best_single.test)
    assert score(report.test) >= 0


def test_clean_up(tmp_path: Path) -> None:
    kept, cleaned = (searched(tmp_path / str(clean), clean_up=clean) for clean in (False, True))
    assert kept.load_state(State) is not None
    assert cleaned.load_state(State) is None
    names = [{path.name for path in run.path.iterdir()} for run in (kept, cleaned)]
    assert names[0] - names[1] == {"state", "cache.sqlite"}
    question = toy.generate(1, 5, 3)[0].question
    assert hswarm.load(cleaned.path).respond([question]) == hswarm.load(kept.path).respond([question])
    with pytest.raises(RunError, match="is finished"):
        resume(cleaned.path)


def test_drop_k_leaves_out_whole_iterations(tmp_path: Path) -> None:
    lines = searched(tmp_path / "run", drop_k=0.5, iterations=12, patience=12).history()
    left_out = [line.role.dropped == line.weight.dropped == 4 for line in lines]
    assert 2 <= sum(left_out) <= 10
    assert not left_out[0]
    for before, line, dropped in zip(lines, lines[1:], left_out[1:], strict=False):
        assert bool(line.role.dropped) == bool(line.weight.dropped) == dropped
        if dropped:  # nothing is asked, and scores repeat
            assert line.calls.requested == before.calls.requested
            assert line.role.utilities == before.role.utilities
            assert line.weight.jfk == before.weight.jfk


@pytest.mark.parametrize(
    ("field", "left", "kept"), [("dropout_role", "role", "weight"), ("dropout_weight", "weight", "role")]
)
def test_dropout_leaves_out_whole_steps(tmp_path: Path, field: str, left: str, kept: str) -> None:
    lines = searched(tmp_path / "run", **{field: 0.5}, iterations=12, patience=12).history()
    there = [left in line.model_fields_set for line in lines]
    assert there[0]
    assert 2 <= sum(there) <= 10
    assert all(kept in line.model_fields_set for line in lines)
    for before, line in pairwise(lines):
        share = 1 if left in line.model_fields_set else 0
        asked = line.calls.requested - before.calls.requested
        assert asked == (1 + share) * 4 * 3 * 20  # steps, systems a step, nodes, questions


def test_an_iteration_without_any_step_is_no_sign_of_an_end(tmp_path: Path) -> None:
    run = searched(tmp_path / "run", dropout_role=0.8, dropout_weight=0.8, iterations=60, patience=4)
    lines = run.history()
    best = [line.best.utility for line in lines]
    since = lines[best.index(best[-1]) + 1 :]
    scored = [line for line in since if {"role", "weight"} & line.model_fields_set]
    assert len(scored) == 4 < len(since)


def test_weight_after_lets_roles_be_found_first(tmp_path: Path) -> None:
    run = searched(tmp_path / "run", weight_after=3, iterations=9, patience=2)
    lines = run.history()
    assert [("weight" in line.model_fields_set) for line in lines] == [False] * 3 + [True] * (len(lines) - 3)
    assert len(lines) >= 5  # patience counts from the fourth on
    alone = searched(tmp_path / "alone", steps=["role"], iterations=9, patience=9)
    assert [line.role for line in lines[:4]] == [line.role for line in alone.history()[:4]]


def test_ranked_first_graphs_are_a_chain_and_a_star_to_the_best_expert(tmp_path: Path) -> None:
    run = searched(tmp_path / "run", first_graphs="ranked", steps=["role"], iterations=1, graphs=3)
    alone = [known(value) for value in run.report.singles.values()]
    matrices = known(run.load_state(State))[0]["role.positions"].reshape(3, len(alone), len(alone))
    chain, star, _ = (g_decode(matrix, np.random.default_rng(0)) for matrix in matrices)
    assert (chain.depth, star.depth) == (len(alone), 2)
    assert len(set(alone)) > 1
    assert chain.sink == star.sink
    assert all(alone[u] <= alone[v] for tree in (chain, star) for u, v in tree.edges)


def test_drop_n_leaves_out_single_evaluations(tmp_path: Path) -> None:
    lines = searched(tmp_path / "run", drop_n=0.5, iterations=8, patience=8).history()
    dropped = [step.dropped for line in lines for step in (line.role, line.weight)]
    assert dropped[:2] == [0, 0]
    assert len(set(dropped[2:])) > 1
    assert 0.25 < np.mean(dropped[2:]) / 4 < 0.75
    for before, line in pairwise(lines):
        assert line.calls.skipped - before.calls.skipped == 60 * (line.role.dropped + line.weight.dropped)
        same = [now == then for now, then in zip(line.role.utilities, before.role.utilities, strict=True)]
        assert sum(same) >= line.role.dropped
        assert line.weight.utilities.count(None) == line.weight.dropped
        assert None not in line.weight.jfk.values()  # not drawn: the last score stays


def test_populate(tmp_path: Path) -> None:
    run = searched(tmp_path / "run", {"pool": {"populate": 6}})
    names = ["step-0", "step-1", "step-2", "grown-3", "grown-4", "grown-5"]
    assert list(run.report.singles) == list(run.history()[0].weight.jfk) == names
    pool = Session.load(run.recipe).pool
    old = np.stack([adapter(expert).vector for expert in pool.experts[:3]])
    for expert in pool.experts[3:]:
        shares = np.linalg.lstsq(old.T, adapter(expert).vector, rcond=None)[0]
        assert np.count_nonzero(np.abs(shares) > 1e-5) == 2
        assert shares.sum() == pytest.approx(1, abs=1e-4)
        assert shares.min() > -1e-5


@pytest.mark.parametrize("space", ["factors", "delta"])
def test_adapters_grow_in_the_space_of_their_pool(
    root: Path, tmp_path: Path, space: Literal["factors", "delta"]
) -> None:
    folder = root / "experts/micro/pool"
    pool = open_pool(PoolSettings(path=str(folder), experts=("tav", "wex", "lun"), space=space))
    grown = populated(pool, 5, np.random.default_rng(3))
    assert populated(pool, 5, np.random.default_rng(3)).experts[4].digest == grown.experts[4].digest
    rng, shares = np.random.default_rng(3), np.zeros(3)
    rng.choice(1, p=[1.0])
    shares[rng.choice(3, 2, replace=False)] = (share := rng.uniform()), 1 - share
    assert grown.experts[3].digest == pool.blend(shares, "grown-3").digest
    digest = grown.experts[4].write(tmp_path / "grown-4")
    assert Adapter.read(tmp_path / "grown-4").digest == digest  # an ordinary adapter


def test_a_pool_is_not_grown_to_less_or_from_nothing() -> None:
    with pytest.raises(ConfigError, match="the pool has 4 experts already"):
        populated(toy_pool(4), 3, np.random.default_rng(0))
    remote = [RemoteExpert(RemoteSettings(name=name, url="http://localhost:1/v1", model="m")) for name in "ab"]
    with pytest.raises(ConfigError, match="no two of the pool's can be added"):
        populated(ExpertPool(tuple(remote), ""), 3, np.random.default_rng(0))
