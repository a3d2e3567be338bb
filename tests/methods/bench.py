"""Evaluators on the toy engine, for any pool and questions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
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


def question(steps: list[int], difficulty: float, number: int = 0) -> Example:
    """A toy question of `steps`, all equally hard, and its answer."""
    text = " ".join(map(str, steps))
    hard = " ".join([f"{difficulty:.2f}"] * len(steps))
    return Example(f"q{number}", f"toy q{number}: steps {text}; difficulty {hard}", f"done {text}")


def bench(
    pool: ExpertPool,
    dev: Sequence[Example] | None = None,
    *,
    test: Sequence[Example] | None = None,
    content: dict[str, Any] | None = None,
    **search: Any,
) -> tuple[ExpertPool, Evaluator]:
    """(pool, evaluator) on the toy engine."""
    size = len(pool.experts)
    settings = {"nodes": size, "graphs": 4, "assignments": 4, "iterations": 3, "patience": 3} | search
    recipe = build_recipe(toy_content(**settings) | (content or {}))
    asked = generate(12, 0, size) if dev is None else tuple(dev)
    task = Task("toy", asked, tuple(test or generate(12, 1, size)), "exact")
    return pool, Evaluator(task, recipe, pool, Executor(ToyEngine(EngineSettings(name="toy"))))


def skilled(*skills: list[float]) -> ExpertPool:
    """A pool whose experts have these skills, one row an expert, one column a step."""
    planted = planted_weights(len(skills[0]))
    vectors = [planted + [1 - skill for skill in row] for row in skills]
    return ExpertPool(
        tuple(Adapter.from_vector(f"step-{i}", row.astype(np.float32), None) for i, row in enumerate(vectors)),
        "toy",
    )


@pytest.fixture
def pool() -> Any:
    return toy_pool(4)
