"""Evaluators on the toy engine, for any pool and questions."""

import pytest

from hswarm.config.recipe import build_recipe
from hswarm.engines.base import EngineSettings
from hswarm.engines.toy import ToyEngine, planted_weights, toy_pool
from hswarm.experts.adapter import Adapter
from hswarm.experts.pool import ExpertPool
from hswarm.session.evaluator import Evaluator
from hswarm.system.executor import Executor
from hswarm.tasks.task import Example, Task
from hswarm.tasks.toy import generate
from tests.conftest import toy_content


def question(steps, difficulty, number=0):
    """A toy question of `steps`, all equally hard, and its answer."""
    text = " ".join(map(str, steps))
    hard = " ".join([f"{difficulty:.2f}"] * len(steps))
    return Example(f"q{number}", f"toy q{number}: steps {text}; difficulty {hard}", f"done {text}")


def bench(pool, dev=None, *, test=None, content=None, **search):
    """(pool, evaluator) on the toy engine."""
    size = len(pool.experts)
    settings = {"nodes": size, "graphs": 4, "assignments": 4, "iterations": 3, "patience": 3} | search
    recipe = build_recipe(toy_content(**settings) | (content or {}))
    dev = tuple(dev) if dev is not None else generate(12, 0, size)
    task = Task("toy", dev, tuple(test or generate(12, 1, size)), "exact")
    return pool, Evaluator(task, recipe, pool, Executor(ToyEngine(EngineSettings(name="toy"))))


def skilled(*skills):
    """A pool whose experts have these skills, one row an expert, one column a step."""
    planted = planted_weights(len(skills[0]))
    return ExpertPool(
        tuple(Adapter.from_vector(f"step-{i}", planted + [1 - s for s in row], None) for i, row in enumerate(skills)),
        "toy",
    )


@pytest.fixture
def pool():
    return toy_pool(4)
