"""An execution says which calls are ready; systems saved by the first version load as they were."""

import json
import shutil
from pathlib import Path

import pytest

from hswarm import Topology, load
from hswarm.bundle.prune import smaller_systems
from hswarm.engines.base import Completion, EngineSettings
from hswarm.engines.toy import ToyEngine, toy_pool
from hswarm.errors import RunError
from hswarm.system.execution import Execution, Plan
from hswarm.system.rules import Vote
from hswarm.system.system import System
from hswarm.tasks.task import Example
from hswarm.tasks.toy import generate

VERSION_1 = Path(__file__).parents[1] / "runs/version_1"
OLD = ("run/best", "bundle", "vote")


def said(text: str, finish: str = "stop") -> Completion:
    return Completion(text, "failed" if finish == "failed" else "stop", 1, 1)


def test_calls_become_ready_as_replies_come_and_votes_settle_by_themselves() -> None:
    pool = toy_pool(4).experts
    topology = Topology.of(5, [(0, 3), (1, 3), (2, 3), (3, 4)])
    plan = Plan(System(topology, (*pool[:3], Vote.new(), pool[3])))
    execution = Execution(plan, Example("", "3 + 4 =", "7", context=("one", "two", "three", "four", "five")))
    assert execution.ready() == [0, 1, 2]
    assert "Context: one\nfive" in execution.request(0).prompt  # dealt out to the four nodes that read it
    assert [execution.tell(0, said("7")), execution.tell(2, said("It is 7."))] == [[], []]
    assert execution.ready() == [1]
    assert execution.tell(1, said("8")) == [3]
    assert execution.ready() == [4]
    assert "- 7" in execution.request(4).prompt
    assert execution.answer is None
    execution.tell(4, said("7 it is"))
    answer: Completion | None = execution.answer
    assert answer == said("7 it is")
    assert execution.ready() == []


def test_a_vote_on_a_failed_reply_fails() -> None:
    plan = Plan(System(Topology.star(3), (*toy_pool(2).experts, Vote.new())))
    execution = Execution(plan, Example("", "3 + 4 =", "7"))
    execution.tell(0, said("7"))
    execution.tell(1, said("", "failed"))
    assert execution.answer is not None
    assert execution.answer.finish == "failed"


@pytest.mark.parametrize("name", OLD)
def test_systems_of_the_first_version_answer(name: str) -> None:
    system = load(VERSION_1 / name)
    questions = [example.question for example in generate(5, 0, 4)]
    answers = system.respond(questions, ToyEngine(EngineSettings("toy")))
    assert all(answers)
    assert len(answers) == 5


def test_a_system_that_was_found_with_early_exit_is_refused(tmp_path: Path) -> None:
    shutil.copytree(VERSION_1 / "vote", tmp_path / "old")
    path = tmp_path / "old/system.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"early_exit": True}))
    with pytest.raises(RunError, match="early_exit"):
        load(tmp_path / "old")


def test_a_subsystem_keeps_experts_seeds_and_edges_of_its_nodes() -> None:
    topology = Topology.of(4, [(0, 2), (1, 2), (2, 3), (1, 3)])
    system = System(topology, toy_pool(4).experts, seeds=(5, 6, 7, 8))
    assert topology.ancestors(2) == {0, 1, 2}
    assert topology.ancestors(0) == {0}
    part = system.subgraph([1, 2, 3])
    assert part.topology == Topology.of(3, [(0, 1), (1, 2), (0, 2)])
    assert (part.assignment, part.seeds) == (["step-1", "step-2", "step-3"], (6, 7, 8))
    assert {smaller.seeds for smaller in smaller_systems(system)} >= {(6, 7, 8), (5, 7, 8), (5, 6, 7)}
