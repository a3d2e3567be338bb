"""`hswarm route`: one system that picks for each question among those of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.table import Table

from hswarm.cli.common import printable, results
from hswarm.cli.view import view
from hswarm.errors import ConfigError, RunError
from hswarm.experiments.route import route as learn
from hswarm.runs.directory import Run


def route(arguments: argparse.Namespace) -> None:
    """Learn a route from the run's dev questions, score it and its controls on test, and write the system."""
    if arguments.best < 2 or not 0 <= arguments.price < 1:
        raise ConfigError(
            [f"expected --best from 2 and --price from 0 to below 1, got {arguments.best}, {arguments.price:g}"]
        )
    folder = Path(arguments.to or Path(arguments.run) / "routed")
    if folder.exists() and not (folder / "route.json").is_file():
        raise RunError(f"{folder} exists and holds no route; name another folder (--to)")
    run = Run.open(arguments.run)
    with view() as progress:
        report = learn(run, arguments.best, arguments.price, folder, progress)
    console = results(arguments.json, report.content())
    table = Table("system", "dev", "test", "calls an answer")
    for row in report.rows:
        table.add_row(printable(row.name), f"{row.dev:.3f}", str(row.test or "-"), f"{row.calls:.2f}")
    console.print(table)
    for name, weights in zip(report.systems, report.weights, strict=True):
        told = ", ".join(f"{word} {weight:+.2f}" for word, weight in weights.items() if weight)
        console.print(printable(f"{name}: expected score {told or 0}"), soft_wrap=True)
    if gain := report.over_found:
        console.print(f"route less found system on test: {gain}")
    console.print(printable(f"{folder}: hswarm evaluate, ask, serve and export take it"), soft_wrap=True)
