"""Hand-made topologies over the team: chain, star, and one drawn at random as a control.

As the paper ran them, experts take their places by random permutations, 20 of them, and the best on dev counts. With
`permutations` 0 the team is ordered by its scores alone, the weakest first and the best as the sink.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hswarm.core.topology import Topology
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import best_of, team
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method("chain", "The experts in a row, the best of random orders on dev", paper="arXiv 2502.04510")
@dataclass(frozen=True)
class Chain:
    """The best of `permutations` random orders; 0: one chain from the expert weakest alone to the best."""

    permutations: int = 20

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        return _best_order(Topology.chain, self.permutations, pool, evaluator, rng)


@method("star", "One expert, all others, one: the best of random orders on dev", paper="arXiv 2502.04510")
@dataclass(frozen=True)
class Star:
    """The best of `permutations` random orders of 1-(n-2)-1: the first node's response is read by the n - 2 in the
    middle, theirs by the sink. 0: one star without a first node, the expert best alone reads all others."""

    permutations: int = 20

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        shape = one_many_one if self.permutations else Topology.star
        return _best_order(shape, self.permutations, pool, evaluator, rng)


def one_many_one(size: int) -> Topology:
    """1-(n-2)-1: node 0 to all in the middle, they to node n-1, the sink; a chain for fewer than four nodes."""
    if size < 4:
        return Topology.chain(size)
    middle = range(1, size - 1)
    return Topology.of(size, [*((0, v) for v in middle), *((v, size - 1) for v in middle)])


def _best_order(
    shape: Callable[[int], Topology],
    permutations: int,
    pool: ExpertPool,
    evaluator: Evaluator,
    rng: np.random.Generator,
) -> System:
    members = team(pool, evaluator, rng)[::-1]
    topology = shape(len(members))
    if not permutations:
        return evaluator.system(topology, members)
    orders = [rng.permutation(len(members)) for _ in range(permutations)]
    return best_of(evaluator, [evaluator.system(topology, [members[i] for i in order]) for order in orders], "orders")


@method("random_topology", "One random topology of the experts: a control")
def random_topology(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """One random adjacency, decoded as hswarm decodes; nothing is searched."""
    members, decode = team(pool, evaluator, rng), evaluator.recipe.decode
    adjacency = rng.uniform(0, 1, (len(members), len(members)))
    topology = decode.decode(adjacency, rng)
    return evaluator.system(topology, [members[i] for i in rng.permutation(len(members))])
