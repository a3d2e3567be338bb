"""Best single: the expert that is best alone on dev. The measure that every other method is held against."""

from __future__ import annotations

import numpy as np

from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import ranked_alone
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method("best_single", "The expert that is best alone on dev", paper="arXiv 2502.04510")
def best_single(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """One call an answer."""
    return ranked_alone(pool, evaluator, rng)[0].system
