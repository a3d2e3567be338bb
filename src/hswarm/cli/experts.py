"""`hswarm experts check|show|train`."""

from __future__ import annotations

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

from hswarm.experts.pool import PoolSettings, open_pool


def check(arguments: argparse.Namespace) -> None:
    """Open a pool; every fault is in the error."""
    pool = open_pool(PoolSettings(path=arguments.pool, base=arguments.base))
    form = pool.experts[0].form
    assert form is not None
    print(f"{len(pool.experts)} experts of {pool.base}, {form.size:,} parameters each: {', '.join(pool.names)}")


def show(arguments: argparse.Namespace) -> None:
    """A table of a pool: digest, size, norm, distance to the nearest other expert."""
    pool = open_pool(PoolSettings(path=arguments.pool, base=arguments.base))
    form = pool.experts[0].form
    assert form is not None
    table = Table("expert", "digest", "norm", "nearest", "distance", title=f"{pool.base}, rank {form.config['r']}, "
                  f"{form.size:,} parameters, scaling {form.scaling:g}")  # fmt: skip
    vectors = np.stack([expert.vector for expert in pool.experts])
    norms = np.linalg.norm(vectors, axis=1)
    for i, expert in enumerate(pool.experts):
        distances = np.linalg.norm(vectors - vectors[i], axis=1)
        distances[i] = np.inf
        nearest = int(distances.argmin())
        table.add_row(expert.name, expert.digest[:12], f"{norms[i]:.3f}", pool.experts[nearest].name,
                      f"{distances[nearest]:.3f}")  # fmt: skip
    Console().print(table)


def train(arguments: argparse.Namespace) -> None:
    """Train the pool of a recipe; finished experts are left as they are."""
    from hswarm.experts.train import train_pool

    train_pool(arguments.recipe)
