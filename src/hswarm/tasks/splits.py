"""dev and test of a task: drawn from data or made from seeds, and finished as the settings say."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hswarm.errors import TaskError
from hswarm.tasks.formats import DataFile
from hswarm.tasks.settings import TaskSettings
from hswarm.tasks.task import Example, Meta, Task


def drawn(data: DataFile, settings: TaskSettings, source: str) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """dev and test of `data` in the sizes asked for."""
    splits: Mapping[str, Sequence[Example]] = data.splits
    if "" in splits:
        splits = _split(splits[""], settings)
    dev, test = (
        _sample(splits.get(name, ()), size, f"{settings.seed}/{name}", f"{source}: {name}")
        for name, size in (("dev", settings.dev), ("test", settings.test))
    )
    return dev, test


def finished(task: Task, settings: TaskSettings) -> Task:
    """`task` with what the settings change, every example knowing its task."""
    choices = all(example.choices for example in (*task.dev, *task.test))
    scorer = settings.scorer or task.scorer or ("choice" if choices else "exact")
    instruction = settings.instruction or task.instruction
    options = settings.scorer_options or ({} if settings.scorer else task.scorer_options)
    pattern = options.get("pattern") if scorer == "regex" else None
    marked = Meta(pattern=str(pattern)) if pattern is not None else Meta()  # for votes
    dev, test = (
        tuple(
            replace(example, task=task.name, instruction=instruction, meta=Meta(**{**example.meta, **marked}))
            for example in split
        )
        for split in (task.dev, task.test)
    )
    length = settings.max_new_tokens or task.max_new_tokens
    return replace(
        task, dev=dev, test=test, scorer=scorer, scorer_options=options, instruction=instruction, max_new_tokens=length
    )


def generated(task: Task, settings: TaskSettings, generate: Callable[..., Sequence[Example]]) -> Task:
    """`task` with questions made from seeds: dev from the settings' seed, test from the next one.

    `generate(count, seed, without=questions)` makes `count` examples, none of which asks one of `questions`. By default
    there are 40 dev and 100 test questions.
    """
    if settings.path or settings.hub:
        raise TaskError(f"task '{settings.name}' generates its questions; leave out task.path and task.hub")
    dev = generate(40 if settings.dev is None else settings.dev, settings.seed, without=frozenset[str]())
    asked = frozenset(example.question for example in dev)
    test = generate(100 if settings.test is None else settings.test, settings.seed + 1, without=asked)
    return finished(replace(task, dev=tuple(dev), test=tuple(test)), settings)


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
