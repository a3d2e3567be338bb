"""`hswarm study`: one question of the paper, answered by many searches."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from hswarm import io
from hswarm.cli.analyze import show_finding, target_of
from hswarm.cli.common import continuing, results, say, with_budgets
from hswarm.config.recipe import read_recipe
from hswarm.errors import ConfigError
from hswarm.experiments.study import Study, StudyPlan
from hswarm.experiments.study import study as room
from hswarm.methods import method_names


def study(arguments: argparse.Namespace) -> None:
    """Run what is missing, then print what the study found; it is kept as study.md and study.json in its folder."""
    carry_out: Study = room.get(arguments.study)
    read = [read_recipe(path, arguments.overrides, arguments.preset) for path in arguments.recipes]
    recipes = with_budgets(read, arguments)
    names = "-".join(recipe.name for recipe in recipes)
    path = Path(arguments.run or f"runs/{names}-{arguments.study}")
    plan = StudyPlan(
        path,
        tuple(method_names(arguments.methods)) if arguments.methods else (),
        arguments.seeds,
        arguments.jobs,
        tuple(map(target_of, arguments.to)),
        _counts(arguments.devices),
        say,
    )
    with continuing(f"in {path}"):
        found = carry_out(recipes, plan)
    io.write_text(path / "study.json", json.dumps(asdict(found), indent=2) + "\n")
    io.write_text(path / "study.md", found.markdown() + "\n")
    if found.svg:
        io.write_text(path / f"{found.name}.svg", found.svg + "\n")
    console = results(arguments.json, asdict(found))
    show_finding(console, found)
    console.print(f"tables: {path / 'study.md'}", soft_wrap=True)


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise ConfigError([f"--devices takes whole numbers of 1 or more with commas between, got '{text}'"])
    return counts
