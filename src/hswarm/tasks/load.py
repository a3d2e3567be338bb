"""A task from its settings: a named task, a data file, a hub data set or several tasks; splits are drawn by seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hswarm.errors import TaskError
from hswarm.registry import lookup
from hswarm.tasks import micro, reasoning_gym, toy
from hswarm.tasks.formats import DataFile, read_data
from hswarm.tasks.hub import read_hub
from hswarm.tasks.settings import TaskSettings
from hswarm.tasks.task import Example, Meta, Task

TABLE = {
    "micro": "hswarm.tasks.load:load_micro",
    "reasoning-gym": "hswarm.tasks.load:load_gym",
    "toy": "hswarm.tasks.load:load_toy",
    **{
        name: f"hswarm.tasks.named:{name}"
        for name in (
            "abkg",
            "com2",
            "gaia",
            "gsm8k",
            "knowledge_crosswords",
            "ltp",
            "mmlu",
            "mmlu_pro",
            "nlgraph",
            "normad",
            "qasper",
            "wow",
        )
    },
}


def load_task(settings: TaskSettings) -> Task:
    """The task that `settings` describes. TaskError if it cannot be had as asked."""
    if settings.parts:
        task = load_parts(settings)
    elif settings.name:
        task = lookup("tasks", TABLE, settings.name)(settings)
    elif bool(settings.path) != bool(settings.hub):
        task = load_data(settings)
    else:
        raise TaskError("name a task (task.name), a data file (task.path) or a hub data set (task.hub), one of them")
    if not task.dev:
        raise TaskError(f"task '{task.name}' has no dev questions; a search needs some")
    return task


def load_gym(settings: TaskSettings) -> Task:
    """Questions of reasoning-gym: dev from the seed, test from the next one, none twice."""
    _made(settings)
    dev, test = _sizes(settings)
    found = reasoning_gym.generate(settings.datasets, dev, settings.seed, options=settings.options)
    asked = {example.question for example in found}
    later = reasoning_gym.generate(settings.datasets, test, settings.seed + 1, options=settings.options, without=asked)
    source = f"reasoning-gym ({', '.join(settings.datasets)})"
    return finished(Task("reasoning-gym", found, later, "exact", source=source, licence="Apache-2.0"), settings)


def load_micro(settings: TaskSettings) -> Task:
    """Questions of the micro pool's world: `datasets` names skills and chains of them."""
    _made(settings)
    dev, test = _sizes(settings)
    found = micro.generate(settings.datasets, dev, settings.seed)
    later = micro.generate(settings.datasets, test, settings.seed + 1, without={example.question for example in found})
    return finished(Task("micro", found, later, "exact", source="made by hswarm"), settings)


def load_toy(settings: TaskSettings) -> Task:
    """Questions of the toy engine."""
    _made(settings)
    dev, test = _sizes(settings)
    steps = int(settings.options.get("toy", {}).get("steps", 4))
    found = toy.generate(dev, settings.seed, steps)
    later = toy.generate(test, settings.seed + 1, steps)
    return finished(Task("toy", found, later, "exact", source="made by hswarm"), settings)


def load_data(settings: TaskSettings) -> Task:
    """A data file or hub data set. Sizes below what it holds draw a sample by seed, never simply its head."""
    if settings.hub:
        data, name, source = read_hub(settings), settings.hub.rstrip("/").rpartition("/")[2], settings.hub
    else:
        names = {"dev": settings.dev_split, "test": settings.test_split}
        data = read_data(settings.path, settings.columns, names, settings.scorer)
        name, source = Path(settings.path).stem, settings.path
    return finished(Task(name, *drawn(data, settings, source), data.scorer, source=source), settings)


def load_parts(settings: TaskSettings) -> Task:
    """Several tasks side by side: every question keeps its own task's prompt, answer length and scorer."""
    parts = _told_apart([load_task(part) for part in settings.parts], settings.parts)
    names = [part.name for part in parts]
    if len(set(names)) < len(names):
        raise TaskError(f"task.parts holds a task twice: {', '.join(names)}; name each once")
    dev, test = (
        tuple(
            replace(example, max_new_tokens=part.max_new_tokens) for part in parts for example in getattr(part, split)
        )
        for split in ("dev", "test")
    )
    return Task(
        "+".join(names),
        dev,
        test,
        "parts",
        max(part.max_new_tokens for part in parts),
        source="; ".join(part.source for part in parts),
        parts=parts,
        weights=tuple(part.weight for part in settings.parts),
        harmonic=settings.utility == "harmonic",
    )


def _told_apart(parts: Sequence[Task], settings: Sequence[TaskSettings]) -> tuple[Task, ...]:
    """Parts of one generator, such as "micro", are called by their data sets too."""
    often = Counter(part.name for part in parts)
    return tuple(
        _called(part, f"{part.name}({', '.join(one.datasets)})") if often[part.name] > 1 and one.datasets else part
        for part, one in zip(parts, settings, strict=True)
    )


def _called(task: Task, name: str) -> Task:
    dev, test = (tuple(replace(example, task=name) for example in split) for split in (task.dev, task.test))
    return replace(task, name=name, dev=dev, test=test)


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
    marked = Meta(pattern=options["pattern"]) if scorer == "regex" and "pattern" in options else Meta()  # for votes
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


def _made(settings: TaskSettings) -> None:
    if settings.path or settings.hub:
        raise TaskError(f"task '{settings.name}' generates its questions; leave out task.path and task.hub")


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
