"""Answers by likelihood: the last node alone chooses, letters or texts; an engine without likelihoods is named."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest

from hswarm import Topology
from hswarm.engines.base import Engine, EngineSettings, Likelihoods, Request, Sampling
from hswarm.engines.toy import ToyEngine, toy_pool
from hswarm.errors import UserError
from hswarm.system.cache import call_key
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks.task import Example

CHOICE = Example("0", "Which?", "B", {"A": "a very long option", "B": "short"})
FREE = Example("1", "What?", "x")


Choose = Literal["", "letter", "text"]


class Likely(ToyEngine):
    """Knows the log-probability of each ending by its text."""

    logs = {"A": -1.0, "B": -2.0, "a very long option": -9.0, "short": -5.0}  # noqa: RUF012

    def loglikelihood(self, requests: Sequence[Request]) -> list[Likelihoods]:
        self.asked = requests
        return [Likelihoods([self.logs[ending] for ending in request.endings], 3) for request in requests]


def run(engine: Engine, choose: Choose, examples: Sequence[Example] = (CHOICE,)) -> list[list[str]]:
    system = System(Topology.chain(2), tuple(toy_pool(2).experts), sampling=Sampling(choose=choose))
    (nodes,) = Executor(engine).run([system], list(examples), "x")
    return [[completion.text for completion in node] for node in nodes]


def test_the_last_node_chooses() -> None:
    engine = Likely(EngineSettings(name="toy"))
    assert run(engine, "letter", [CHOICE, FREE]) == [["", ""], ["A", ""]]
    assert len(engine.asked) == 1
    assert run(engine, "text") == [[""], ["A"]]  # -9 / 18 characters is likelier a character than -5 / 5
    assert run(engine, "") == [[""], [""]]


def test_an_engine_without_likelihoods_is_named() -> None:
    with pytest.raises(UserError, match=r"sampling\.choose needs an engine that gives likelihoods, toy"):
        run(ToyEngine(EngineSettings(name="toy")), "letter")


def test_options_are_part_of_a_call() -> None:
    one = Request(toy_pool(1).experts[0], "p", Sampling(choose="letter"), (("A", "x"),))
    keys = {
        call_key("e", one),
        call_key("e", replace(one, options=(("A", "y"),))),
        call_key("e", replace(one, sampling=Sampling(choose="text"))),
    }
    assert len(keys) == 3
