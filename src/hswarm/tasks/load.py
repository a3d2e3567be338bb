"""A task from its settings: a named task, a data file, a hub data set, or several tasks side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hswarm.errors import ConfigError, TaskError
from hswarm.options import configured
from hswarm.registry import near
from hswarm.tasks.formats import read_data
from hswarm.tasks.hub import read_hub
from hswarm.tasks.settings import TaskSettings
from hswarm.tasks.splits import drawn, finished
from hswarm.tasks.task import Task
from hswarm.tasks.task import task as room


def load_task(settings: TaskSettings) -> Task:
    """The task that `settings` describes. TaskError if it cannot be loaded so."""
    if settings.parts:
        task = load_parts(settings)
    elif settings.name:
        task = load_named(settings)
    elif bool(settings.path) != bool(settings.hub):
        task = load_data(settings)
    else:
        raise TaskError("name a task (task.name), a data file (task.path) or a hub data set (task.hub), one of them")
    if not task.dev:
        raise TaskError(f"task '{task.name}' has no dev questions; a search needs some")
    return task


def load_named(settings: TaskSettings) -> Task:
    """The task that `@task` declares under `settings.name`, with its options of `[task.options.NAME]`."""
    room.check(settings.name)
    own = settings.name
    known = {own, *settings.datasets}  # data sets that a task is made of may have options of their own
    if faults := [
        f"unknown key 'task.options.{key}'{near(key, known)}" for key in settings.options if key not in known
    ]:
        raise ConfigError(faults)
    made = configured(room.get(settings.name), settings.options.get(own, {}), f"task.options.{own}")
    task: Task = made(settings)
    return task


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
