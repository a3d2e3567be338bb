"""Reliability: two passes over one system; an engine that speaks by rule shows who was asked what."""

from collections.abc import Sequence

import numpy as np
import pytest

from hswarm import Topology
from hswarm.config.recipe import build_recipe
from hswarm.engines.base import Completion, Engine, Request
from hswarm.engines.toy import toy_pool
from hswarm.errors import TaskError
from hswarm.experts.expert import Expert
from hswarm.scorers import get_scorer, scored_calls, task_scorer
from hswarm.scorers.abstain import stands
from hswarm.session.budget import BudgetSpent
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.session.session import planned_calls
from hswarm.system.executor import Executor
from hswarm.system.scoring import score_replies
from hswarm.tasks.task import Example, Task

POOL = toy_pool(2)
CHOICES = {"A": "Paris", "B": "Rome"}
# name -> what is answered first, what the doubt gets
SAID = {
    "right": ("A", "TRUE"),
    "wrong": ("The answer is B", "true."),
    "modest": ("B", "False"),
    "shy": ("A", "FALSE"),
    "mute": ("I do not know", "true"),
    "vague": ("A", "perhaps"),
}
EXAMPLES = tuple(Example(name, f"q-{name}", "A", CHOICES) for name in SAID)


class Speaker:
    """Says what SAID says, both as node 0 and as node 1, and notes who was asked."""

    fingerprint = "speaker"

    def __init__(self, fails: str = "") -> None:
        self.asked: list[tuple[str, bool, bool]] = []
        self._fails = fails

    def check(self, experts: Sequence[Expert]) -> None:
        pass

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        return [list(range(len(requests)))] if requests else []

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Completion:
        name = next(name for name in SAID if f"q-{name}" in request.prompt)
        second = "Proposed answer" in request.prompt
        self.asked.append((request.expert.name, second, "Answers given by others" in request.prompt))
        if second and name == self._fails:
            return Completion("", "failed", 0, 0)
        return Completion(SAID[name][second], "stop", 1, 1)


def evaluate(engine: Engine, systems: int = 1, task: Task | None = None) -> list[Evaluation]:
    task = task or Task("t", EXAMPLES, (), "abstain")
    evaluator = Evaluator(task, build_recipe({"engine": {"name": "toy"}}), POOL, Executor(engine))
    return evaluator.evaluate([evaluator.system(Topology.chain(2), POOL.experts)] * systems, "s")


def test_right_less_wrong_over_all() -> None:
    engine = Speaker()
    (found,) = evaluate(engine)
    assert found.scores.tolist() == [1, -1, 0, 0, 0, 0]
    assert found.utility == 0
    assert found.unparsed == 2  # no answer, no verdict
    assert found.failed == 0


def test_both_passes_go_through_one_topology() -> None:
    engine = Speaker()
    evaluate(engine)
    for second, count in ((False, 6), (True, 5)):  # nothing was stated once, so nothing is doubted
        assert engine.asked.count(("step-0", second, False)) == count
        assert engine.asked.count(("step-1", second, True)) == count


def test_many_systems_are_each_asked_about_their_own_answers() -> None:
    engine = Speaker()
    first, second = evaluate(engine, systems=2)
    assert first.scores.tolist() == second.scores.tolist()
    assert len(engine.asked) == 22  # equal calls are made once


def test_a_second_pass_that_fails_is_no_zero() -> None:
    (found,) = evaluate(Speaker(fails="right"))
    assert np.isnan(found.scores[0])
    assert np.isnan(found.utility)
    assert found.failed == 1


def test_beside_another_task() -> None:
    exact = Task("plain", (Example("p", "q-right", "A", task="plain"),), (), "exact")
    mine = Task("mine", tuple(Example(e.id, e.question, "A", CHOICES, task="mine") for e in EXAMPLES), (), "abstain")
    both = Task("both", exact.dev + mine.dev, (), "parts", parts=(exact, mine), weights=(1, 1))
    (found,) = evaluate(Speaker(), task=both)
    assert found.scores.tolist() == [1, 1, -1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("True", True),
        ("true", True),
        ("FALSE.", False),
        ("It is not true: false", False),
        ("untrue", None),
        ("", None),
        ("Yes", True),
        ("I was wrong", False),
    ],
)
def test_verdicts(reply: str, verdict: bool | None) -> None:
    """Fault 5: a lower-case "true" is a verdict as well."""
    assert stands(reply) is verdict


def test_alone_it_says_why_it_cannot() -> None:
    with pytest.raises(TaskError, match="asks the system a follow-up question"):
        get_scorer("abstain")(EXAMPLES[:1], ["A"])


def test_numbers_too() -> None:
    executor, example = Executor(Speaker()), Example("0", "q-right", "A")
    evaluator = Evaluator(
        Task("t", (example,), (), "abstain"), build_recipe({"engine": {"name": "toy"}}), POOL, executor
    )
    system = evaluator.alone(POOL.experts[0])
    ((score,),) = score_replies(
        task_scorer(evaluator.task), executor, [system], executor.run([system], [example], "s"), [example], "s"
    )
    assert score == (1.0, True, "A")


def test_budgets_and_plans_count_the_second_pass() -> None:
    task = Task("t", EXAMPLES, EXAMPLES[:2], "abstain")
    recipe = build_recipe({"engine": {"name": "toy"}, "search": {"method": "hswarm"}, "budget": {"calls": 45}})
    evaluator = Evaluator(task, recipe, POOL, Executor(Speaker()))
    systems = [evaluator.system(Topology.of(2, {edge}), POOL.experts) for edge in ((0, 1), (1, 0))]
    with pytest.raises(BudgetSpent) as spent:
        evaluator.evaluate(systems, "s")
    assert len(spent.value.evaluations) == 1  # 6 questions, 2 nodes, 2 passes: 24 calls a system at most
    asked, doubled = (planned_calls(recipe, 2, 6, 2, task) for task in (None, task))
    assert doubled == {phase: 2 * calls for phase, calls in asked.items()}
    judged = planned_calls(recipe, 2, 6, 2, Task("t", EXAMPLES, (), "judge"))
    assert (asked["experts alone"], judged["experts alone"]) == (12, 36)
    assert scored_calls(Task("all", (), (), "", parts=(task, Task("e", (), (), "exact"))), 3) == 6
