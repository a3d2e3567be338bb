"""What a method is, and the decorator that declares one."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hswarm.experts.pool import ExpertPool
from hswarm.registry import Part, Room
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System

method = Room("methods", "hswarm.methods", "method", Part)


class Method(Protocol):
    """Makes a system of a pool. It sees dev alone, through `evaluator`, and draws from `rng` alone."""

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System: ...
