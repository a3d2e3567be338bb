"""MACNet (arXiv 2406.07155): agents on the nodes of a fixed kind of directed acyclic graph.

The paper does not say which of its kinds the baseline has. Here all six are scored on dev over the team, the best alone
at the end, and the best kind is kept: chain, star, tree, mesh, layered, random.
"""

from __future__ import annotations

import math

import numpy as np

from hswarm.core.topology import Topology
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import best_of, ending_in, team
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method("macnet", "The best of six fixed kinds of directed acyclic graph", paper="arXiv 2406.07155")
def macnet(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """Six systems are scored at most: small teams have fewer distinct kinds."""
    members = team(pool, evaluator, rng)[::-1]
    kinds = dict.fromkeys(shapes(len(members), rng).values())
    return best_of(evaluator, [evaluator.system(topology, members) for topology in kinds], "kinds")


def shapes(size: int, rng: np.random.Generator) -> dict[str, Topology]:
    """The kinds of MACNet by name; the last node is the sink of each."""
    last = size - 1
    every = [(u, v) for u in range(size) for v in range(u + 1, size)]
    per_layer = max(1, round(math.sqrt(size)))
    layer = [min(node // per_layer, last // per_layer) for node in range(last)]
    between = {(u, v) for u in range(last) for v in range(last) if layer[v] == layer[u] + 1}
    irregular = {edge for edge in every if rng.random() < 0.5}
    return {
        "chain": Topology.chain(size),
        "star": Topology.star(size),
        "tree": Topology.of(size, ((last - node, last - (node - 1) // 2) for node in range(1, size))),
        "mesh": Topology.of(size, every),
        "layered": ending_in(size, between, last),
        "random": ending_in(size, irregular, last),
    }
