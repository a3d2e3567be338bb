"""One fair table: every method on the same experts, task, splits, scorer and budget, over several seeds.

A comparison's directory holds `recipes/<name>.toml` and `<name>/<method>/<seed>/` with the calls, the system and
`result.json`, written last. Started again, it makes what is missing: a cell that was interrupted finds its calls again.
Cells share the calls they make (`calls.sqlite`): what one has made, another takes, and counts as if it had made it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hswarm import io
from hswarm.config.recipe import Recipe, read_recipe, same_recipe
from hswarm.errors import ConfigError, RunError, UserError
from hswarm.experiments.parallel import each
from hswarm.methods import get_method, run_method
from hswarm.runs.comparison import Measured, NotRun, Result, Spent, read_result
from hswarm.runs.report import held_out
from hswarm.session.evaluator import Evaluator
from hswarm.session.session import Session, planned_calls
from hswarm.session.settings import BudgetSettings
from hswarm.system.cache import Cache


class Cell(NamedTuple):
    """One method on one task with one seed. `folder` is its own, `recipe` the file of the comparison's recipe.

    `alone`: it runs beside others, so its engine takes one process. `shared`: the file of all cells' calls, if any.
    """

    recipe: Path
    method: str
    seed: int
    folder: Path
    alone: bool
    shared: Path | None


def compare(
    recipes: Sequence[Recipe],
    methods: Sequence[str],
    seeds: int,
    path: Path,
    jobs: int = 1,
    say: Callable[[str], None] = print,
    share: bool = True,
) -> list[Result]:
    """Results of all cells, in order of recipe, method and seed; those at `path` already are not made again,
    but for refused ones.

    `share` False, and a budget in seconds: every cell makes its calls itself. Else its seconds tell nothing and are
    not kept.
    """
    names = [recipe.name for recipe in recipes]
    if len(set(names)) < len(names):
        raise ConfigError([f"recipes of one comparison need different names, got {', '.join(names)}"])
    if seeds < 1 or jobs < 1:
        raise ConfigError([f"--seeds and --jobs must be at least 1, got {seeds} and {jobs}"])
    cells = [
        Cell(
            kept,
            method,
            recipe.seed + k,
            path / recipe.name / method / str(recipe.seed + k),
            jobs > 1,
            path / "calls.sqlite" if share and recipe.budget.seconds is None else None,
        )
        for recipe, kept in [(recipe, _keep_recipe(recipe, path)) for recipe in recipes]
        for method in methods
        for k in range(seeds)
    ]
    waiting = [cell for cell in cells if not _is_made(cell)]
    if len(waiting) < len(cells):
        say(f"{len(cells) - len(waiting)} of {len(cells)} results are there already")
    for _, line in each(make, waiting, [str(cell.recipe) for cell in waiting], jobs, recipes[0].engine):
        say(line)
    return [read_result(cell.folder / "result.json") for cell in cells]


def _is_made(cell: Cell) -> bool:
    """Whether its result is there; what was refused may be possible by now."""
    path = cell.folder / "result.json"
    return path.is_file() and isinstance(read_result(path), Measured)


def make(cell: Cell) -> str:
    """Carry out one cell; returns a line about it. That a method cannot run here is a result too."""
    opened = _open(cell.recipe, cell.alone)
    recipe = opened.recipe.model_copy(update={"seed": cell.seed})
    shared = closing(Cache(cell.shared, several=True)) if cell.shared else nullcontext()
    with closing(Cache(_fresh(cell.folder) / "cache.sqlite")) as cache, shared as elsewhere:
        evaluator = replace(opened, recipe=recipe, cache=cache, elsewhere=elsewhere).evaluator
        result: Result
        try:
            result, line = _measure(evaluator, cell)
        except UserError as fault:
            line = str(fault)
            result = NotRun(task=recipe.name, method=cell.method, seed=cell.seed, refused=line)
    io.write_text(cell.folder / "result.json", json.dumps(result.content()) + "\n")
    return f"{recipe.name} {cell.method} seed {cell.seed}: {line}"


def _measure(evaluator: Evaluator, cell: Cell) -> tuple[Measured, str]:
    """Search, choose, then look at test once; the result and a line about it.

    What the search spent is noted before dev and test are measured.
    """
    method = get_method(cell.method, evaluator.recipe.methods.get(cell.method))
    found = run_method(method, evaluator.pool, evaluator, np.random.default_rng(cell.seed))
    selection = evaluator.select(found)
    ledger = evaluator.budget.ledger
    spent = Spent(
        calls=ledger.generated,
        tokens=ledger.prompt_tokens + ledger.completion_tokens,
        seconds=None if cell.shared else round(evaluator.budget.seconds, 2),
    )
    dev = evaluator.seen(selection.system)
    (test,) = evaluator.final([selection.system])
    selection.system.save(cell.folder / "system")
    result = Measured(
        task=evaluator.recipe.name,
        method=cell.method,
        seed=cell.seed,
        spent=spent,
        dev=io.without_nan(dev.scores.tolist()),
        test=io.without_nan(test.scores.tolist()),
        calls=selection.system.calls,
        tokens=test.tokens / max(1, len(test.scores)),
        experts=selection.system.assignment,
        edges=[[u, v] for u, v in sorted(selection.system.topology.edges)],
    )
    if selection.held_out:
        result.selection = held_out(selection)
    return result, f"dev {np.nanmean(dev.scores):.3f}, test {np.nanmean(test.scores):.3f}"


def _fresh(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _keep_recipe(recipe: Recipe, path: Path) -> Path:
    """The recipe in the comparison's directory, with the budget all methods share; RunError if another one is there."""
    if recipe.budget == BudgetSettings():
        session = Session.load(recipe)
        planned = planned_calls(recipe, len(session.pool.experts), len(session.task.dev), 0, session.task)["total"]
        recipe = recipe.model_copy(update={"budget": replace(recipe.budget, calls=planned)})
    kept = path / "recipes" / f"{recipe.name}.toml"
    if kept.is_file() and not same_recipe(kept, recipe):
        raise RunError(
            f"{path} compares another recipe '{recipe.name}' or with another budget; take another folder (--run)"
        )
    io.write_text(kept, recipe.to_toml())
    return kept


@lru_cache(maxsize=1)  # an engine takes gigabytes
def _open(recipe: Path, alone: bool) -> Session:
    read = read_recipe(recipe)
    if alone:
        read = read.model_copy(update={"engine": read.engine.alone()})
    return Session.load(read)
