"""Random search: random topologies with random experts, as many as hswarm's search scores; the best on dev wins.

The control for the swarms: what drawing often and keeping the best is worth by itself.
"""

from __future__ import annotations

import numpy as np

from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import best_of
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method("random_search", "Random topologies of random experts, the best on dev wins: a control")
def random_search(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """Systems of the recipe's size, drawn until the recipe's number of systems or the budget is reached."""
    nodes, decode = evaluator.nodes, evaluator.recipe.decode
    systems = []
    for _ in range(evaluator.systems):
        topology = decode.decode(rng.uniform(0, 1, (nodes, nodes)), rng)
        drawn = rng.integers(0, len(pool.experts), nodes)
        systems.append(evaluator.system(topology, [pool.experts[i] for i in drawn]))
    return best_of(evaluator, systems, "random")
