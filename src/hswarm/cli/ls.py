"""`hswarm ls`: names that recipes may use, and the runs of a folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.table import Table

from hswarm.analysis.context import analysis
from hswarm.cli.common import terminal
from hswarm.cli.main import printable
from hswarm.config.recipe import PRESETS
from hswarm.engines.base import engine
from hswarm.errors import HSwarmError, RunError
from hswarm.experiments.study import study
from hswarm.methods.base import method
from hswarm.plots.charts import sparkline
from hswarm.registry import Room
from hswarm.runs.directory import Run
from hswarm.scorers.base import scorer
from hswarm.tasks.task import task

ROOMS: dict[str, Room[Any]] = {room.name: room for room in (task, scorer, engine, method, analysis, study)}


def ls(arguments: argparse.Namespace) -> None:
    """Print one room's names, one a line, or all rooms; runs as a table."""
    folder = Path(arguments.folder or "runs")
    if arguments.folder and not folder.is_dir():
        raise RunError(f"no folder {folder}; name the one that runs are in")
    runs = sorted(path.parent for path in folder.glob("*/config.toml"))
    if arguments.room == "runs":
        _print_runs(runs, folder)
        return
    if arguments.room in ROOMS:
        _print_parts(ROOMS[arguments.room])
        return
    rooms = {name: sorted(room.names) for name, room in ROOMS.items()}
    rooms |= {"presets": sorted(PRESETS), "runs": [str(path) for path in runs]}
    for room, found in rooms.items():
        if arguments.room in (None, room):
            print(f"{room}: {', '.join(found) or '-'}" if arguments.room is None else "\n".join(found))


def _print_parts(room: Room[Any]) -> None:
    """What each part declares, tabs between where no terminal reads it."""
    table = Table("name", "what it is", "paper or source", "extras", "options")
    for name in sorted(room.names):
        part = room.about(name)
        options = ", ".join(map(str, part.options))
        table.add_row(name, part.about, *(text or "-" for text in (part.paper, ", ".join(part.extras), options)))
    _print_table(table)


def _print_table(table: Table) -> None:
    console = terminal()
    if console.is_terminal:
        console.print(table)
    else:
        print(_plain(table))


def _print_runs(runs: list[Path], folder: Path) -> None:
    if not runs:
        print(f"no runs in {folder}")
        return
    table = Table("run", "state", "task", "iterations", "best so far", "dev", "test")
    for path in runs:
        try:
            table.add_row(printable(str(path)), *_cells(Run.open(path)))
        except HSwarmError as fault:  # one damaged run does not hide the others
            table.add_row(printable(str(path)), "damaged", printable(str(fault)))
    _print_table(table)


def _cells(run: Run) -> tuple[str, ...]:
    history = run.history()
    best = [entry.best.utility for entry in history]
    report = run.report if run.finished else None
    dev = str(report.dev) if report else f"{best[-1]:.3f}" if best else "-"
    name = report.task if report else run.recipe.task.name or Path(run.recipe.task.path).name
    return (
        run.state,
        printable(name),
        str(len(history)),
        sparkline(best[-20:]),
        dev,
        str(report.test or "-") if report else "-",
    )


def _plain(table: Table) -> str:
    """A line a row, tabs between: for other programs."""
    columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    return "\n".join("\t".join(row) for row in zip(*columns, strict=True))
