"""Questions for the toy engine: steps to be done in a planted order, each with a difficulty."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from hswarm.tasks.settings import TaskSettings
from hswarm.tasks.splits import generated
from hswarm.tasks.task import Example, Task, task

_ORDER_SEED = 20_250_204


@task("toy", "Steps in a planted order, for the toy engine")
def toy(settings: TaskSettings, *, steps: int = 4) -> Task:
    """Questions of up to `steps` steps."""

    def made(count: int, seed: int, *, without: Collection[str]) -> tuple[Example, ...]:
        return generate(count, seed, steps)

    return generated(Task("toy", (), (), "exact", source="made by hswarm"), settings, made)


def planted_order(steps: int) -> tuple[int, ...]:
    """The order in which steps must be done: the best topology is a path through the experts in this order."""
    return tuple(np.random.default_rng(_ORDER_SEED).permutation(steps).tolist())


def generate(count: int, seed: int, steps: int = 4) -> tuple[Example, ...]:
    """`count` questions, each a random non-empty part of the steps in planted order."""
    rng = np.random.default_rng([seed, steps])
    examples = []
    for i in range(count):
        chosen: list[int] = []
        while not chosen:
            chosen = [step for step in planted_order(steps) if rng.random() < 0.6]
        difficulty = " ".join(f"{value:.2f}" for value in rng.uniform(0.15, 0.85, len(chosen)))
        text = " ".join(map(str, chosen))
        question = f"toy {seed}.{i}: steps {text}; difficulty {difficulty}"
        examples.append(Example(f"toy-{seed}-{i}", question, f"done {text}"))
    return tuple(examples)
