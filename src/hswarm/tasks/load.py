"""A task from its settings: a named generator or a data file, with its splits drawn by seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hswarm.errors import TaskError
from hswarm.registry import lookup
from hswarm.tasks import reasoning_gym, toy
from hswarm.tasks.formats import read_data
from hswarm.tasks.task import Example, Task

TABLE = {
    "reasoning-gym": "hswarm.tasks.load:load_gym",
    "toy": "hswarm.tasks.load:load_toy",
}


@dataclass(frozen=True)
class TaskSettings:
    """`[task]`: either a `name` or a `path`. `dev` and `test` are sizes (default: all, or 40 and 100 made)."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str = ""
    path: str = ""
    scorer: str = ""
    dev: int | None = None
    test: int | None = None
    seed: int = 0
    max_new_tokens: int = 50
    datasets: tuple[str, ...] = ()
    options: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.dev is not None and self.dev < 1:
            raise ValueError(f"dev must be at least 1, got {self.dev}")
        if self.test is not None and self.test < 0:
            raise ValueError(f"test must be at least 0, got {self.test}")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")


def load_task(settings: TaskSettings) -> Task:
    """The task that `settings` names. TaskError if it cannot be had as asked."""
    if bool(settings.name) == bool(settings.path):
        raise TaskError("name a task (task.name) or a data file (task.path), one of the two")
    task: Task = lookup("tasks", TABLE, settings.name)(settings) if settings.name else load_file(settings)
    if not task.dev:
        raise TaskError(f"task '{task.name}' has no dev questions; a search needs some")
    return task


def load_gym(settings: TaskSettings) -> Task:
    """Questions of reasoning-gym: dev from the seed, test from the next one, none twice."""
    dev, test = _sizes(settings)
    found = reasoning_gym.generate(settings.datasets, dev, settings.seed, options=settings.options)
    asked = {example.question for example in found}
    later = reasoning_gym.generate(settings.datasets, test, settings.seed + 1, options=settings.options, without=asked)
    source = f"reasoning-gym ({', '.join(settings.datasets)}), Apache-2.0"
    return Task("reasoning-gym", found, later, settings.scorer or "exact", settings.max_new_tokens, source=source)


def load_toy(settings: TaskSettings) -> Task:
    """Questions of the toy engine."""
    dev, test = _sizes(settings)
    steps = int(settings.options.get("toy", {}).get("steps", 4))
    return Task("toy", toy.generate(dev, settings.seed, steps), toy.generate(test, settings.seed + 1, steps),
                settings.scorer or "exact", settings.max_new_tokens, source="made by hswarm")  # fmt: skip


def load_file(settings: TaskSettings) -> Task:
    """A data file. Sizes below what it holds draw a sample by seed, never simply its head."""
    data, path = read_data(settings.path), Path(settings.path)
    splits = dict(data.splits)
    if "" in splits:
        splits = _split(splits[""], settings)
    dev, test = (
        _sample(splits.get(name, ()), size, f"{settings.seed}/{name}", f"{path}: {name}")
        for name, size in (("dev", settings.dev), ("test", settings.test))
    )
    scorer = settings.scorer or ("choice" if all(example.choices for example in dev + test) else "exact")
    return Task(path.stem, dev, test, scorer, settings.max_new_tokens, data.icl_prompt, source=str(path))


def _sizes(settings: TaskSettings) -> tuple[int, int]:
    return (40 if settings.dev is None else settings.dev), (100 if settings.test is None else settings.test)


def _split(examples: Sequence[Example], settings: TaskSettings) -> dict[str, tuple[Example, ...]]:
    """Splits for a file without any: shuffled by seed, `dev` (default a third) first, the rest is test."""
    shuffled = random.Random(f"{settings.seed}/split").sample(list(examples), len(examples))
    dev = settings.dev if settings.dev is not None else -(-len(shuffled) // 3)
    return {"dev": tuple(shuffled[:dev]), "test": tuple(shuffled[dev:])}


def _sample(examples: Sequence[Example], size: int | None, seed: str, what: str) -> tuple[Example, ...]:
    if size is None:
        return tuple(examples)
    if size > len(examples):
        raise TaskError(f"{what} has {len(examples)} questions, {size} were asked for")
    chosen = sorted(random.Random(seed).sample(range(len(examples)), size))
    return tuple(examples[i] for i in chosen)
