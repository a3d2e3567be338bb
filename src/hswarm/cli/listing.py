"""`hswarm list`: names that recipes may use, recipe fields, and the runs of a folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from hswarm.cli.common import printable, results
from hswarm.cli.rooms import PLACES, room
from hswarm.config.fields import fields
from hswarm.config.recipe import PRESETS
from hswarm.errors import HSwarmError, RunError
from hswarm.plots.charts import sparkline
from hswarm.runs.directory import Run

PART = ("name", "what it is", "paper or source", "extras", "options")
RUN = ("run", "state", "task", "iterations", "best so far", "dev", "test")
FIELD = ("field", "type", "default", "range", "meaning")


def show_list(arguments: argparse.Namespace) -> None:
    """Print the rows of one list, or the names of all."""
    if arguments.room is None:
        everything = {name: [row[0] for row in rows_of(name)] for name in (*PLACES, "presets", "runs")}
        console = results(arguments.json, everything)
        for name, found in everything.items():
            console.print(f"{name}: {', '.join(found) or '-'}", soft_wrap=True)
        console.print("recipe fields: hswarm list fields", soft_wrap=True)
        return
    head = {"runs": RUN, "fields": FIELD, "presets": PART[:1]}.get(arguments.room, PART)
    rows = rows_of(arguments.room, arguments.word or "")
    console = results(arguments.json, [dict(zip(head, row, strict=True)) for row in rows])
    if not rows:
        where = f" in {arguments.word or 'runs'}" if arguments.room == "runs" else f" with '{arguments.word}'"
        console.print(f"no {arguments.room}{printable(where)}")
    elif console.is_terminal:
        table = Table(*head)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    elif not console.quiet:  # a line for each row, tabs between cells: for other programs
        print("\n".join("\t".join(row) for row in (head, *rows)))


def rows_of(name: str, word: str = "") -> list[Sequence[str]]:
    """The rows of one list: those that contain `word`; of the runs, those in the folder `word`."""
    if name == "runs":
        return run_rows(Path(word or "runs"), bool(word))
    rows: list[Sequence[str]] = {"presets": preset_rows, "fields": field_rows}.get(name, lambda: part_rows(name))()
    return [row for row in rows if word.casefold() in "\n".join(row).casefold()]


def preset_rows() -> list[Sequence[str]]:
    """The names of presets."""
    return [(name,) for name in sorted(PRESETS)]


def field_rows() -> list[Sequence[str]]:
    """Every field of a recipe; the range of a field that takes anything is a dash."""
    return [(one.name, one.kind, one.default, one.range or "-", one.meaning) for one in fields()]


def part_rows(name: str) -> list[Sequence[str]]:
    """What each part of a room declares."""
    parts = [room(name).about(part) for part in sorted(room(name).names)]
    return [
        (one.name, one.about, one.paper or "-", " or ".join(one.extras) or "-", ", ".join(map(str, one.options)) or "-")
        for one in parts
    ]


def run_rows(folder: Path, must_exist: bool = True) -> list[Sequence[str]]:
    """The runs in `folder` with their state and scores; a damaged run does not hide the others."""
    if must_exist and not folder.is_dir():
        raise RunError(f"no folder {folder}; name the one that runs are in")
    rows: list[Sequence[str]] = []
    for path in sorted(path.parent for path in folder.glob("*/config.toml")):
        try:
            cells = _run_cells(Run.open(path))
        except HSwarmError as fault:
            cells = ("damaged", printable(str(fault)), *[""] * (len(RUN) - 3))
        rows.append((printable(str(path)), *cells))
    return rows


def _run_cells(run: Run) -> tuple[str, ...]:
    history = run.history()
    best = [entry.best.utility for entry in history]
    report = run.report if run.finished else None
    dev = str(report.dev) if report else f"{best[-1]:.3f}" if best else "-"
    name = report.task if report else run.recipe.task.name or Path(run.recipe.task.path).name
    test = str(report.test or "-") if report else "-"
    return run.state, printable(name), str(len(history)), sparkline(best, 20), dev, test
