"""Hand-made topologies over the team: chain, star, and one drawn at random as a control.

The paper leaves the order of different experts open. Here the team is ordered by dev score alone: in the chain each
hears a better one's predecessor and the best answers; in the star the best hears all others.
"""

from __future__ import annotations

import numpy as np

from hswarm.core.topology import Topology
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import team
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method("chain", "A chain of the experts, from the weakest alone to the best", paper="arXiv 2502.04510")
def chain(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """From the weakest to the best."""
    members = team(pool, evaluator, rng)[::-1]
    return evaluator.system(Topology.chain(len(members)), members)


@method("star", "All experts answer, the best one alone decides", paper="arXiv 2502.04510")
def star(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """All others speak to the best."""
    members = team(pool, evaluator, rng)[::-1]
    return evaluator.system(Topology.star(len(members)), members)


@method("random_topology", "One random topology of the experts: a control")
def random_topology(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """One random adjacency, decoded as hswarm decodes; nothing is searched."""
    members, decode = team(pool, evaluator, rng), evaluator.recipe.decode
    adjacency = rng.uniform(0, 1, (len(members), len(members)))
    topology = decode.decode(adjacency, rng)
    return evaluator.system(topology, [members[i] for i in rng.permutation(len(members))])
