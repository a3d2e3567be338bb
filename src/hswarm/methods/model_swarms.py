"""Model Swarms (arXiv 2410.11163): particle swarm optimisation over the experts' weights, each scored alone on dev."""

from __future__ import annotations

import numpy as np

from hswarm.core.swarm import Swarm
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import group
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method("model_swarms", "Particle swarms over the experts' weights, each scored alone", paper="arXiv 2410.11163")
def model_swarms(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """The best single model ever scored. Settings of the swarm: `[weight]`.

    A particle's position is kept as its weights over the experts it started from; every move is a sum of positions, so
    this is the swarm in the space of parameters itself.
    """
    places = group(pool)
    swarm = Swarm(np.eye(len(pool.experts))[places], evaluator.recipe.weight, rng)
    best: Evaluation | None = None
    for iteration in range(max(1, evaluator.systems // len(places))):
        moved = pool.blends(swarm.ask(), [pool.names[place] for place in places])
        systems = [evaluator.alone(expert) for expert in moved]
        found = evaluator.evaluate(systems, f"iteration {iteration}")
        swarm.tell(np.array([evaluation.utility for evaluation in found]))
        top = max(found, key=lambda evaluation: np.nan_to_num(evaluation.utility))
        best = top if best is None or top.utility > best.utility else best
        if swarm.stop():
            break
    assert best is not None
    return best.system
