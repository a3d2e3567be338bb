"""What every method promises, whatever its idea."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hswarm import io, load
from hswarm.core.topology import Topology
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.engines.toy import ToyEngine, planted_weights, toy_pool
from hswarm.errors import ConfigError
from hswarm.methods import get_method, method_names, run_method
from hswarm.methods.base import method as room
from hswarm.methods.hswarm import Search
from hswarm.session.budget import BudgetSpent
from hswarm.session.checkpoint import Checkpointer
from hswarm.session.evaluator import Evaluator
from hswarm.session.records import HistoryEntry
from hswarm.system.system import System
from tests.methods.bench import bench


@pytest.fixture(params=room.names)
def method(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    settings = {}
    if request.param == "data_merge":  # an expert as if trained on everything, for each size of pool
        settings = {"path": str(tmp_path / "union")}
        io.write_tensors(tmp_path / "union" / "vector.safetensors", {"vector": planted_weights(4)})
    return get_method(request.param, settings)


def made(method: Any, experts: int, seed: int = 0, **content: Any) -> tuple[System, Evaluator]:
    pool, evaluator = bench(toy_pool(experts), content=content)
    return run_method(method, pool, evaluator, np.random.default_rng(seed)), evaluator


def identity(system: System) -> tuple[Topology, list[str], Sampling, tuple[int, ...]]:
    return system.topology, [node.digest for node in system.nodes], system.sampling, system.seeds


def test_same_seed_same_system_saved_and_loaded_equal(method: Any, tmp_path: Path) -> None:
    system, evaluator = made(method, 4)
    assert identity(system) == identity(made(method, 4)[0])
    system.save(tmp_path / "system")
    again = load(tmp_path / "system")
    assert identity(again) == identity(system)
    questions = [example.question for example in evaluator.task.test]
    engine = ToyEngine(EngineSettings(name="toy"))
    assert again.respond(questions, engine) == system.respond(questions, engine)


@pytest.mark.parametrize("experts", [2, 12])
def test_works_with_few_and_many_experts(method: Any, experts: int) -> None:
    system, evaluator = made(method, experts, budget={"calls": 500})
    (found,) = evaluator.final([system])
    assert found.failed == 0
    assert 0 <= found.utility <= 1


@pytest.mark.parametrize("calls", [60, 250])
def test_a_budget_of_calls_is_respected(method: Any, calls: int) -> None:
    """60 calls score the experts alone and one system of four; every method still returns a system."""
    system, evaluator = made(method, 4, budget={"calls": calls})
    assert evaluator.budget.ledger.generated <= calls
    assert system.topology.size >= 1


@pytest.mark.parametrize("budget", [{"tokens": 900}, {"seconds": 1e-9}])
def test_budgets_of_tokens_and_seconds_end_a_search(budget: dict[str, Any]) -> None:
    pool, evaluator = bench(toy_pool(4), content={"budget": budget})
    if "seconds" in budget:
        with pytest.raises(BudgetSpent, match="seconds"):
            run_method(get_method("hswarm"), pool, evaluator, np.random.default_rng(0))
        return
    run_method(get_method("random_search"), pool, evaluator, np.random.default_rng(0))
    spent = evaluator.budget.ledger.prompt_tokens + evaluator.budget.ledger.completion_tokens
    assert 900 <= spent < 900 + 12 * 4 * 40  # the last system may exceed it


def test_every_declared_method_says_what_it_is() -> None:
    for name in room.names:
        part, made = room.about(name), room.get(name)
        assert part.about, name
        assert replace(made.__part__, place=part.place, options=part.options) == part


def test_names_of_methods() -> None:
    assert method_names("all") == room.names
    assert method_names("hswarm, chain") == ["hswarm", "chain"]
    with pytest.raises(ConfigError, match="did you mean 'hswarm'"):
        method_names("hswram")
    with pytest.raises(ConfigError, match="different names"):
        method_names("chain,chain")
    with pytest.raises(ConfigError, match="methods.lorahub.bund"):
        get_method("lorahub", {"bund": 1})
    with pytest.raises(ConfigError, match="there are no options"):
        get_method("best_single", {"size": 1})


class Lines(Checkpointer):
    """Keeps the lines of the history."""

    def __init__(self, intervals: bool) -> None:
        self.intervals = intervals
        self.lines: list[str] = []

    def keep(self, entry: HistoryEntry, tensors: object, state: object, best: System) -> None:
        self.lines.append(json.dumps(entry.content()))


def test_intervals_are_computed_for_who_keeps_them_and_change_nothing() -> None:
    lines = {}
    for wanted in (True, False):
        pool, evaluator = bench(toy_pool(3))
        evaluator.checkpointer = kept = Lines(wanted)
        Search(pool, evaluator, np.random.default_rng(0)).go()
        lines[wanted] = kept.lines
    assert all(line.count('"ci"') >= 2 for line in lines[True])
    assert [re.sub(r', "ci": \[.*?\]', "", line) for line in lines[True]] == lines[False]
