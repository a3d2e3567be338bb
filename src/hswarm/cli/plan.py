"""`hswarm plan`: check a recipe and say what it will ask for, before anything is spent."""

from __future__ import annotations

import argparse
from dataclasses import replace

from rich.table import Table

from hswarm.cli.common import results
from hswarm.config.recipe import Recipe, read_recipe
from hswarm.engines.base import engine as engine_room
from hswarm.engines.tools import ToolEngine
from hswarm.errors import HSwarmError
from hswarm.experiments.forecast import forecast, is_remote
from hswarm.experiments.search import FORECAST
from hswarm.experts.tool import ToolExpert
from hswarm.prompts import Prompts
from hswarm.session.session import Session, planned_calls, read_pool
from hswarm.tasks import load_task
from hswarm.tasks.task import Task


def plan(arguments: argparse.Namespace) -> None:
    """Print the calls of a recipe by phase, and a forecast of what it takes. Parts not here are named, not an error."""
    recipe = read_recipe(arguments.recipe, arguments.overrides, arguments.preset)
    engine_room.check(recipe.engine.name)
    missing: list[str] = []
    experts, dev, test, task = _sizes(recipe, missing)
    calls = planned_calls(recipe, experts, dev, test, task)
    sizes = {"experts": experts, "dev": dev, "test": test, "calls": calls}
    forecasts, remark = _forecasts(recipe, arguments.quick, missing)
    console = results(arguments.json, {**sizes, "forecast": forecasts, "remark": remark, "missing": missing})
    table = Table("phase", "calls at most", title=f"{recipe.name}: {experts} experts, {dev} dev, {test} test questions")
    for phase, count in calls.items():
        table.add_row(phase, f"{count:,}")
    console.print(table)
    if task:
        prompt, reply = _tokens(task, recipe.prompts)
        console.print(
            f"about {prompt} prompt tokens a call by its length in characters, at most {reply} new ones: "
            f"{calls['total'] * prompt:,} and {calls['total'] * reply:,} at most"
        )
    console.print("equal calls are made once, and a search may end early: both make it fewer")
    for line in filter(None, (remark, *forecasts)):
        console.print(line, soft_wrap=True)
    for text in missing:
        console.print(f"not here yet: {text}")


def _forecasts(recipe: Recipe, quick: bool, missing: list[str]) -> tuple[list[str], str]:
    """What a short calibration forecasts, for all iterations and for the fewest that patience allows; or why not."""
    if recipe.search.method not in FORECAST:
        known = " or ".join(FORECAST)
        return [], f"no forecast of seconds: a calibration follows {known}, not method '{recipe.search.method}'"
    if quick or missing:
        return [], ""
    try:
        session = Session.load(recipe.model_copy(update={"engine": recipe.engine.alone()}))
    except HSwarmError as fault:
        missing.append(str(fault))
        return [], ""
    if is_remote(session):
        return [], "no forecast: a calibration would ask remote models, which may cost money"
    made = forecast(replace(session, recipe=recipe))
    if recipe.search.method == "growth":
        return [made.text(None)], ""
    lengths = sorted({recipe.search.iterations, min(recipe.search.iterations, recipe.search.patience + 1)})
    return [made.text(iterations) for iterations in lengths], ""


def _sizes(recipe: Recipe, missing: list[str]) -> tuple[int, int, int, Task | None]:
    """Experts, dev and test questions, and the task if it can be opened; else the recipe's own numbers."""
    task = None
    try:
        pool = read_pool(recipe)
        experts = len(pool.experts)
        ToolEngine().check([one for one in pool.experts if isinstance(one, ToolExpert)])
    except HSwarmError as fault:
        experts = max(len(recipe.pool.experts), recipe.pool.populate)
        if not experts:
            raise
        missing.append(str(fault))
    try:
        task = load_task(recipe.task)
        return experts, len(task.dev), len(task.test), task
    except HSwarmError as fault:
        if recipe.task.dev is None or recipe.task.test is None:
            raise
        missing.append(str(fault))
        return experts, recipe.task.dev, recipe.task.test, task


def _tokens(task: Task, prompts: Prompts) -> tuple[int, int]:
    """Prompt tokens a call on average (four characters each, one previous response), and the most new ones."""
    lengths = [len(prompts.render(example, ["x" * task.max_new_tokens * 2])) for example in task.dev]
    return round(sum(lengths) / len(lengths) / 4), task.max_new_tokens
