"""`hswarm compare`: every method on equal terms, one table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.table import Table

from hswarm import io
from hswarm.cli.common import continuing, results, say, with_budgets
from hswarm.config.recipe import read_recipe
from hswarm.errors import ConfigError
from hswarm.experiments import paper
from hswarm.experiments.compare import compare as run_comparison
from hswarm.methods import method_names
from hswarm.report.table import HEAD, cells, tabulate, write_all

_SHOWN = (0, 1, 2, 4, 5, 6, 7, 10, 12)


def compare(arguments: argparse.Namespace) -> None:
    """Run what is missing, then print the table and write it in every form; with `--paper` the paper's after it."""
    if not arguments.paper and not arguments.recipes:
        raise ConfigError(["expected recipes to compare methods on, or --paper for the paper's own results"])
    if arguments.recipes:
        _compare(arguments)
    if arguments.paper:
        print(paper.markdown())


def _compare(arguments: argparse.Namespace) -> None:
    methods = method_names(arguments.methods)
    read = [read_recipe(path, arguments.overrides, arguments.preset) for path in arguments.recipes]
    recipes = with_budgets(read, arguments)
    path = Path(arguments.run or f"runs/{'-'.join(recipe.name for recipe in recipes)}-compare")

    with continuing(f"in {path}"):
        made = run_comparison(recipes, methods, arguments.seeds, path, arguments.jobs, say, arguments.share)
    table = tabulate(made)
    io.write_text(path / "table.json", json.dumps(table.content(), indent=2) + "\n")
    write_all(table, path)
    console = results(arguments.json, table.content())
    for task, rows in table.tasks.items():
        shown = Table(*(HEAD[i] for i in _SHOWN), title=task)
        for row in rows:
            text = cells(row)
            shown.add_row(*(text[i] for i in _SHOWN))
        console.print(shown)
    if len(table.tasks) > 1:
        ranks = ", ".join(f"{row.method} {row.rank:.2f}" for row in table.overall)
        console.print(f"mean rank over {len(table.tasks)} tasks: {ranks}", soft_wrap=True)
    console.print(f"tables and picture: {path}", soft_wrap=True)
