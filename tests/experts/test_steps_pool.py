"""The pool of everyday steps in the repository: a chain of the right experts does what none of them can alone."""

from pathlib import Path
from typing import Any

import pytest

from hswarm.core.topology import Topology
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.prompts import Prompts
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks.steps import SKILLS, WORLD

pytestmark = pytest.mark.model


def test_it_holds_an_expert_of_each_step(root: Path) -> None:
    assert {path.name for path in (root / "experts/steps").iterdir()} == set(SKILLS)


def test_a_chain_in_the_right_order_does_what_no_expert_can(root: Path) -> None:
    pool = open_pool(PoolSettings(path=str(root / "experts/steps")))
    named, settings = {expert.name: expert for expert in pool.experts}, EngineSettings()
    executor = Executor(open_engine(settings, pool.base, pool.experts))
    questions = WORLD.generate(["past+next"], 20, seed=1)

    def right(*names: str) -> Any:
        experts = tuple(named[name] for name in names)
        system = System(Topology.chain(len(names)), experts, Prompts(), pool.base, settings, Sampling(24))
        replies = executor.run([system], questions, "test")[0][-1]
        return sum(reply.text.strip() == q.answer for reply, q in zip(replies, questions, strict=True)) / len(questions)

    assert right("past", "next") > 0.5
    assert max(right("past"), right("next"), right("next", "past")) < 0.1
