"""`hswarm tasks show|check` and `hswarm ls`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from hswarm import engines, scorers, tasks
from hswarm.cli.evaluate import open_task
from hswarm.cli.main import printable
from hswarm.config import PRESETS
from hswarm.prompts import Prompts
from hswarm.registry import names
from hswarm.runs.run import Run
from hswarm.tasks.check import check_task


def show(arguments: argparse.Namespace) -> None:
    """Sizes, scorer, source and the first prompt of a task."""
    task = open_task(arguments.task)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{task.name}: {len(task.dev)} dev, {len(task.test)} test questions; scorer {task.scorer}; "
                  f"at most {task.max_new_tokens} new tokens")  # fmt: skip
    if task.source:
        console.print(f"source: {task.source}")
    for example in task.dev[:3]:
        text = Prompts().render(example).replace("\n", "\n    ")
        console.print(f"\n[{printable(example.id)}]\n    {text}\n    => {printable(example.answer)}")


def check(arguments: argparse.Namespace) -> None:
    """Print what is in a task and what is doubtful about it."""
    task = open_task(arguments.task)
    found = check_task(task)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for name, value in vars(found).items():
        if isinstance(value, float):
            value = f"{value:.3f}"
        console.print(f"{name.replace('_', ' ')}: {value}")


def ls(arguments: argparse.Namespace) -> None:
    """Names that a recipe may use, and the runs in runs/."""
    rooms = {
        "tasks": names("tasks", tasks.TABLE),
        "scorers": names("scorers", scorers.TABLE),
        "engines": names("engines", engines.TABLE),
        "presets": sorted(PRESETS),
        "runs": [_run_line(path.parent) for path in sorted(Path("runs").glob("*/config.toml"))],
    }
    for room, found in rooms.items():
        if arguments.room in (None, room):
            print(f"{room}: {', '.join(found) or '-'}" if arguments.room is None else "\n".join(found))


def _run_line(path: Path) -> str:
    return f"{path}{'' if Run.open(path).finished else ' (unfinished)'}"
