"""Prediction merge: every expert of the pool answers alone, the majority is the answer.

The paper names it without a definition. Here: equal votes, ties to the answer of the expert that is best on dev.
"""

from __future__ import annotations

import numpy as np

from hswarm.core.topology import Topology
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import ranked_alone
from hswarm.session.evaluator import Evaluator
from hswarm.system.rules import Vote
from hswarm.system.system import System


@method("prediction_merge", "Every expert answers alone, the majority is the answer", paper="arXiv 2502.04510")
def prediction_merge(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """As many calls an answer as the pool has experts."""
    voters = [single.system.experts[0] for single in ranked_alone(pool, evaluator, rng)]
    return evaluator.system(Topology.star(len(voters) + 1), [*voters, Vote.new()])
