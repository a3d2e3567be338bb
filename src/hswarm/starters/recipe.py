"""Commented recipes to start from; the one for an own pool and data file looks at both and fills in what it can."""

from __future__ import annotations

import json
import os
import re
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from hswarm.errors import ConfigError, PoolError
from hswarm.experts.pool import ExpertPool, PoolSettings, open_pool
from hswarm.registry import near
from hswarm.starters.worlds import copy_lessons, copy_world
from hswarm.tasks import TaskSettings, load_task

KINDS = ("toy", "micro", "smollm2", "own", "paper")
_NO_POOL = 'path = "experts" # TODO: a folder of experts, one sub-folder each: PEFT adapters or whole models'
_NO_DATA = 'path = "questions.jsonl" # TODO: your questions; docs/tasks.md says in which forms'


class Own(NamedTuple):
    """An own pool (a folder) and data file, "" where not given."""

    pool: str = ""
    data: str = ""


def starter(kind: str, path: Path, own: Own | None = None) -> str:
    """The recipe of `kind` to be written to `path`. For "micro" the world is copied into the folder beside it, for
    "smollm2" the recipe that trains its pool.

    ConfigError: an unknown kind. PoolError or TaskError: the own pool or data cannot be used.
    """
    if kind not in KINDS:
        raise ConfigError([f"no starter '{kind}'{near(kind, KINDS)}"])
    own = own or Own()
    if kind != "own" and any(own):
        raise ConfigError([f"--pool and --data belong to 'hswarm new own', not to '{kind}'"])
    text = (files("hswarm.starters") / "recipes" / f"{kind}.toml").read_text(encoding="utf-8")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._") or kind
    values = {"file": path.name, "name": name}
    if kind == "micro":
        values["world"] = copy_world(path.parent / "micro").name
    if kind == "smollm2":
        values["lessons"] = copy_lessons(path.parent).name
    if kind == "own":
        values |= _own_values(own, path.parent)
    return re.sub(r"\{(\w+)\}", lambda place: values.get(place[1], place[0]), text)


def _own_values(own: Own, folder: Path) -> dict[str, str]:
    pool, size = _pool_lines(own.pool, folder) if own.pool else (_NO_POOL, 4)
    task, questions = _task_lines(own.data, folder) if own.data else (_NO_DATA, 200)
    return {"pool": pool, "task": task, "calls": str(25 * size * questions)}


def _pool_lines(path: str, folder: Path) -> tuple[str, int]:
    """The lines of `[pool]` and the number of experts."""
    pool, space = _opened(path)
    lines = [f"path = {_text(_relative(path, folder))} # {len(pool.experts)} experts: {', '.join(pool.names)}"]
    if pool.base:
        base = pool.base if not Path(pool.base).exists() else _relative(pool.base, folder)
        lines.append(f"base = {_text(base)} # the model under the adapters, as they name it")
    if space == "delta":
        lines.append('space = "delta" # ranks or modules differ, so blends are made of updates, not of factors')
    lines.append("# experts = [...] # the ones to take; default: all")
    return "\n".join(lines), len(pool.experts)


def _opened(path: str) -> tuple[ExpertPool, str]:
    try:
        return open_pool(PoolSettings(path=path)), "factors"
    except PoolError as fault:
        try:
            return open_pool(PoolSettings(path=path, space="delta")), "delta"
        except PoolError:
            raise fault from None


def _task_lines(path: str, folder: Path) -> tuple[str, int]:
    """The lines of `[task]` and the number of questions to search on."""
    task = load_task(TaskSettings(path=path))
    test = f"test = {len(task.test)}" if task.test else "test = 0"
    return "\n".join(
        [
            f"path = {_text(_relative(path, folder))}",
            f"dev = {len(task.dev)} # questions to search on",
            f"{test} # questions for the one final test",
            f'scorer = "{task.scorer}" # others: hswarm list scorers',
            f"max_new_tokens = {task.max_new_tokens} # room for an answer; more if experts reason before they answer",
        ]
    ), len(task.dev)


def _relative(path: str, folder: Path) -> str:
    """`path` from `folder` if it lies near, else whole: recipes count relative paths from their own folder."""
    found = Path(path).expanduser().resolve()
    near_by = os.path.relpath(found, folder.resolve())
    return str(found) if near_by.startswith(os.path.join("..", "..", "..")) else near_by


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
