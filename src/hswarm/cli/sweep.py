"""`hswarm sweep`: the settings of a recipe, searched by Optuna."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from hswarm import io
from hswarm.cli.common import continuing, results, say
from hswarm.config.recipe import read_recipe
from hswarm.experiments.parameters import SPACES, read_space
from hswarm.experiments.sweep import Plan, Pruner, Sampler, Trial
from hswarm.experiments.sweep import sweep as run_sweep
from hswarm.plots.bars import bars_svg
from hswarm.plots.points import Point, points_svg

_SHOWN = 10


def sweep(arguments: argparse.Namespace) -> None:
    """Carry out the missing trials, then print the best and what mattered."""
    recipe = read_recipe(arguments.recipe, arguments.overrides, arguments.preset)
    space = read_space([*SPACES.get(arguments.space, ()), *arguments.over])
    usual: tuple[Sampler, Pruner] = ("random", "none") if arguments.space == "paper" else ("tpe", "median")
    plan = Plan(tuple(space), arguments.sampler or usual[0], arguments.pruner or usual[1], recipe.seed)
    path = Path(arguments.run or f"runs/{recipe.name}-sweep")

    with continuing(f"in {path}"):
        made = run_sweep(recipe, plan, arguments.trials, path, arguments.jobs, say)
    console = results(arguments.json, made.content())
    names = list(made.best.parameters)
    table = Table("trial", "dev", *names, title=f"{recipe.name}: the best of {len(made.trials)} trials")
    whole = sorted((-row.score, row.trial, row.parameters) for row in made.trials if row.score is not None)
    for below, number, parameters in whole[:_SHOWN]:
        table.add_row(str(number), f"{-below:.3f}", *(f"{parameters[name]}" for name in names))
    console.print(table)
    console.print(best_of_many(plan, made.trials), soft_wrap=True)
    early = sum(row.state == "pruned" for row in made.trials)
    console.print(f"{len(whole)} trials to the end, {early} given up early", soft_wrap=True)
    if made.importance:
        shares = ", ".join(f"{name} {share:.2f}" for name, share in made.importance.items())
        console.print(f"what the score depends on: {shares}", soft_wrap=True)
        bars = bars_svg(list(made.importance), list(made.importance.values()), "what the score depends on: shares")
        io.write_text(path / "importance.svg", bars + "\n")
    points = [Point(f"trial {number}", number, -below) for below, number, _ in sorted(whole, key=lambda row: row[1])]
    io.write_text(path / "sweep.svg", points_svg({recipe.name: points}, "trial", "dev score") + "\n")
    console.print(
        f"the best recipe: {path / 'best.toml'}; look at test with: hswarm search {path / 'best.toml'}", soft_wrap=True
    )


def best_of_many(plan: Plan, trials: Sequence[Trial]) -> str:
    """How many points of the space were drawn, and what the best of them on dev is worth."""
    drawn = {json.dumps(trial.parameters, sort_keys=True) for trial in trials}
    sizes = [len(parameter.choices) for parameter in plan.space]
    points = f"{len(drawn)} of {math.prod(sizes):,} points" if all(sizes) else f"{len(drawn)} points"
    return (
        f"the best on dev of {points} drawn: the more are tried, the more the best one's dev score flatters it (the "
        "winner's curse), so compare its test score, not its dev score; the paper reports the best of 50 to 200 runs"
    )
