"""`hswarm experts check|show|train|download`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.table import Table

from hswarm.cli.common import continuing, printable, recipe_of, results
from hswarm.errors import PoolError
from hswarm.experts.base import base_here
from hswarm.experts.compatibility import base_faults
from hswarm.experts.distance import Matrix, distances, diversity, inner_products, pool_table
from hswarm.experts.hub import fetch, is_hub_name
from hswarm.experts.pool import ExpertPool, PoolSettings, expert_folders, open_pool, read_expert
from hswarm.plots.heatmap import heat_map

_SHOWN = 12  # experts whose distances fit on a terminal


def check(arguments: argparse.Namespace) -> None:
    """Open a pool as a search would, and compare it with its bases; every fault is in the error."""
    settings = _settings(arguments)
    pool = open_pool(settings)
    faults, absent = base_faults(pool, expert_folders(settings))
    if faults:
        raise PoolError("; ".join(faults))
    groups = f" in {len(pool.groups)} groups whose weights move apart" if len(pool.groups) > 1 else ""
    console = results(arguments.json, {"experts": pool.names, "bases": pool.bases, "bases_not_here": absent})
    found = f"{len(pool.experts)} experts of {pool.base}{groups}: {', '.join(pool.names)}"
    console.print(printable(found), soft_wrap=True)
    for base in absent:
        said = f"base {base} is not on this machine, so modules and tokenizer were not compared with it"
        console.print(printable(said), soft_wrap=True)


def show(arguments: argparse.Namespace) -> None:
    """Tables of a pool: its experts, and how far each two are apart; --svg draws the distances."""
    settings = _settings(arguments)
    pool = open_pool(
        PoolSettings(settings.path, settings.base, settings.experts, "delta", 0, not settings.base), least=1
    )
    products = inner_products(pool, base_here(arguments.base) if arguments.base else None)
    apart, variety = distances(products), diversity(products)
    rows = [row._asdict() for row in pool_table(pool, products)]
    console = results(arguments.json, {"experts": rows, "distances": apart.tolist(), "diversity": variety})
    console.print(_experts(pool, products))
    if 1 < len(pool.experts) <= _SHOWN:
        console.print(_distances(pool, apart))
    console.print(
        f"diversity {variety:.2f} of {len(pool.experts)}: as many unrelated experts is the pool worth (Vendi "
        "score of the updates); distance |a - b| over their mean norm: 0 equal, about 1.4 unrelated",
        highlight=False,
    )
    if arguments.svg:
        title = f"Distances between experts' updates; diversity {variety:.2f} of {len(pool.experts)}"
        Path(arguments.svg).write_text(heat_map(pool.names, apart, title), encoding="utf-8")


def _settings(arguments: argparse.Namespace) -> PoolSettings:
    """Of the `[pool]` of a recipe or run, or of a folder and the options."""
    recipe = recipe_of(arguments.pool)
    if recipe.endswith(".toml"):
        from hswarm.config.recipe import read_recipe

        return read_recipe(recipe).pool
    return PoolSettings(
        path=arguments.pool, base=arguments.base, space="delta" if arguments.delta else "factors", mixed=arguments.mixed
    )


def _experts(pool: ExpertPool, products: Matrix) -> Table:
    several = len(pool.bases) > 1
    table = Table(
        "expert", "digest", "kind", "parameters", "norm", "nearest", "distance", *["base"] * several, title=pool.base
    )
    for row in pool_table(pool, products):
        apart = "-" if np.isnan(row.distance) else f"{row.distance:.3f}"
        table.add_row(
            printable(row.name),
            row.digest[:12],
            row.kind,
            f"{row.parameters:,}",
            f"{row.norm:.3f}",
            row.nearest or "-",
            apart,
            *[row.base] * several,
        )
    return table


def _distances(pool: ExpertPool, apart: Matrix) -> Table:
    table = Table("distance", *pool.names)
    for name, row in zip(pool.names, apart, strict=True):
        table.add_row(name, *("-" if np.isnan(value) else f"{value:.2f}" for value in row))
    return table


def train(arguments: argparse.Namespace) -> None:
    """Train the pool of a recipe; finished experts are left as they are."""
    from hswarm.training.exam import exam
    from hswarm.training.train import train_pool

    with continuing("the experts that were finished"):
        out = train_pool(arguments.recipe, lambda text: print(text, flush=True), exam)
    print(f"the pool is in {out}; see it with: hswarm experts show {out}")


def download(arguments: argparse.Namespace) -> None:
    """Fetch experts of the hub, by id or as recipes name them, and read each, so that a search needs no connection."""
    for name in dict.fromkeys(name for given in arguments.experts for name in _hub_names(given)):
        folder = fetch(name)
        expert = read_expert(folder)
        print(printable(f"{name}: {expert.digest[:12]}, for base {expert.base}, in {folder}"))


def _hub_names(given: str) -> list[str]:
    """Those of a recipe, or the id itself."""
    if given.endswith(".toml"):
        from hswarm.config.recipe import read_recipe

        names = [name for name in read_recipe(given).pool.experts if is_hub_name(name)]
        if not names:
            raise PoolError(f'{given} names no expert of the hub; expected experts = ["owner/name"] in [pool]')
        return names
    if not is_hub_name(given):
        raise PoolError(
            f"expected a recipe, or an expert of the hub like owner/name or owner/name@<revision>, got '{given}'"
        )
    return [given]
