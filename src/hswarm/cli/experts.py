"""`hswarm experts check|show|train`."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from hswarm.experts.pool import PoolSettings, open_pool, pool_table


def check(arguments: argparse.Namespace) -> None:
    """Open a pool; every fault is in the error."""
    pool = open_pool(PoolSettings(path=arguments.pool, base=arguments.base))
    form = pool.experts[0].form
    assert form is not None
    print(f"{len(pool.experts)} experts of {pool.base}, {form.size:,} parameters each: {', '.join(pool.names)}")


def show(arguments: argparse.Namespace) -> None:
    """A table of a pool: digest, rank, parameters, norm, the nearest other expert and how far it is."""
    pool = open_pool(PoolSettings(path=arguments.pool, base=arguments.base))
    table = Table("expert", "digest", "rank", "parameters", "norm", "nearest", "distance", title=pool.base)
    for row in pool_table(pool):
        table.add_row(row.name, row.digest[:12], str(row.rank), f"{row.parameters:,}", f"{row.norm:.3f}", row.nearest,
                      f"{row.distance:.3f}")  # fmt: skip
    Console().print(table)
    print("distance: |a - b| over their mean norm; 0 equal, about 1.4 unrelated")


def train(arguments: argparse.Namespace) -> None:
    """Train the pool of a recipe; finished experts are left as they are."""
    from hswarm.experts.train import train_pool

    train_pool(arguments.recipe)
