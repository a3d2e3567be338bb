"""`hswarm experts check|show|train`."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from hswarm.experts.distance import inner_products, pool_table
from hswarm.experts.pool import PoolSettings, open_pool


def check(arguments: argparse.Namespace) -> None:
    """Open a pool; every fault is in the error."""
    pool = open_pool(PoolSettings(path=arguments.pool, base=arguments.base))
    print(f"{len(pool.experts)} experts of {pool.base}: {', '.join(pool.names)}")


def show(arguments: argparse.Namespace) -> None:
    """A table of a pool: digest, rank, parameters, norm of the update, the nearest other expert and how far it is."""
    pool = open_pool(PoolSettings(path=arguments.pool, base=arguments.base))
    products = inner_products(pool)
    table = Table("expert", "digest", "kind", "parameters", "norm", "nearest", "distance", title=pool.base)
    for row in pool_table(pool, products):
        table.add_row(row.name, row.digest[:12], row.kind, f"{row.parameters:,}", f"{row.norm:.3f}", row.nearest,
                      f"{row.distance:.3f}")  # fmt: skip
    Console().print(table)


def train(arguments: argparse.Namespace) -> None:
    """Train the pool of a recipe; finished experts are left as they are."""
    from hswarm.execution.exam import exam
    from hswarm.experts.train import train_pool

    out = train_pool(arguments.recipe, lambda text: print(text, flush=True), exam)
    print(f"the pool is in {out}; see it with: hswarm experts show {out}")
