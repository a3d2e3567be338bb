"""Methods: hswarm beside its rivals on equal terms, one file each, one line in the table."""

from __future__ import annotations

import numpy as np

from hswarm.execution.system import System
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import Method
from hswarm.methods.objective import BudgetSpent, Objective
from hswarm.registry import lookup

TABLE = {
    "hswarm": "hswarm.methods.hswarm:hswarm",
}


def get_method(name: str) -> Method:
    """The method called `name`."""
    method: Method = lookup("methods", TABLE, name)
    return method


def run_method(method: Method, pool: ExpertPool, objective: Objective, rng: np.random.Generator) -> System:
    """What `method` makes of `pool`; when the budget ends it, the best system that it had scored."""
    try:
        return method(pool, objective, rng)
    except BudgetSpent:
        if objective.best is None:
            raise
        return objective.best.system
