"""What a method is, and what it may tell while it works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from hswarm.experts.pool import ExpertPool
from hswarm.registry import Room
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System

method = Room("methods", "hswarm.methods", "method")


class Method(Protocol):
    """Makes a system of a pool. It sees dev alone, through `evaluator`, and draws from `rng` alone."""

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System: ...


class Checkpointer:
    """What a method tells, and where it can go on. The base class listens to nothing and keeps nothing."""

    intervals = False  # whether lines of the history are to have them: they take 4 % of a toy search

    def begin(self, phase: str, calls: int) -> None:
        """`phase` starts and will ask for `calls` calls."""

    def keep(
        self, entry: Mapping[str, Any], tensors: Mapping[str, Any], state: Mapping[str, Any], best: System
    ) -> None:
        """An iteration ended: its line of the history, all that is needed to go on, the best system so far."""

    def kept(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """`tensors` and `state` of the last iteration kept; None at a fresh start."""
        return None
