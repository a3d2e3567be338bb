"""`hswarm distil`: one adapter that answers as the system of a run does."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.table import Table

from hswarm.cli.common import continuing, printable, results, say
from hswarm.cli.view import view
from hswarm.errors import RunError
from hswarm.experiments.distil import RECIPE, DistilSettings
from hswarm.experiments.distil import distil as train
from hswarm.runs.directory import Run


def distil(arguments: argparse.Namespace) -> None:
    """Train the adapter and print what it keeps of the system's score; the same command continues."""
    settings = DistilSettings(
        arguments.questions, arguments.data, arguments.steps, arguments.rank, arguments.learning_rate
    )
    folder = Path(arguments.to or Path(arguments.run) / "distilled")
    if folder.exists() and not (folder / RECIPE).is_file():
        raise RunError(f"{folder} exists and holds no {RECIPE}; name another folder (--to)")
    run = Run.open(arguments.run)
    with view() as progress, continuing(f"in {arguments.run} and {folder}"):
        report = train(run, folder, settings, progress, say)
    console = results(arguments.json, report.content())
    table = Table("who answers", "test", "calls an answer")
    for row in report.rows:
        table.add_row(printable(row.name), str(row.test), str(row.calls))
    console.print(table)
    for name, gain in (("the system", report.less_system), ("the best single expert", report.less_single)):
        if gain:
            console.print(f"distilled less {name}: {gain}")
    if report.kept is not None:
        console.print(f"{report.kept:.0%} of the system's gain over the best single expert is kept")
    console.print(printable(f"{folder / 'distilled'}: an expert for any pool, with its card"), soft_wrap=True)
