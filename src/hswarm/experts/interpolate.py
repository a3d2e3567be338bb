"""Growing a small pool: new experts interpolated between two existing ones."""

from __future__ import annotations

import numpy as np

from hswarm.errors import ConfigError
from hswarm.experts.pool import ExpertPool


def populated(pool: ExpertPool, count: int, rng: np.random.Generator) -> ExpertPool:
    """`pool` with experts added until it has `count`, each w a + (1 - w) b with w ~ U(0, 1).

    a and b are two experts of the pool as it was, drawn among those whose weights can be added, and the sum is taken
    in the pool's space. They are called grown-5 and so on, by position. ConfigError if `count` is smaller than
    the pool, or if no two experts can be added.
    """
    size = len(pool.experts)
    if count < size:
        raise ConfigError(
            [
                f"pool.populate is {count}, the pool has {size} experts already; set a larger number, 0 to "
                "leave the pool as it is, or fewer experts (pool.experts)"
            ]
        )
    groups = [group for group in pool.groups if len(group) > 1]
    if count > size and not groups:
        raise ConfigError(
            ["pool.populate adds weights of two experts, and no two of the pool's can be added; set it to 0"]
        )
    chances = np.array([len(group) for group in groups], dtype=np.float64)
    made = []
    for place in range(size, count):
        group = groups[rng.choice(len(groups), p=chances / chances.sum())]
        shares = np.zeros(size)
        shares[rng.choice(group, 2, replace=False)] = (share := rng.uniform()), 1 - share
        made.append(pool.blend(shares, f"grown-{place}"))
    return ExpertPool((*pool.experts, *made), pool.base, pool.space, pool.rank)
