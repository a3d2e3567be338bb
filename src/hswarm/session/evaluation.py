"""What scoring a system gives: its scores, question by question, and what kind of replies they come from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hswarm.system.system import System


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A system's scores, one a question (nan: a call failed), and the replies that could not be scored as meant.

    `answers` are the replies that were scored. `step` is where it was scored ("start", "3/role" ...); `calls` and
    `tokens` are what its replies take without reuse, prompts included.
    """

    system: System
    scores: NDArray[np.float64]
    step: str = ""
    unparsed: int = 0
    empty: int = 0
    cut: int = 0
    failed: int = 0
    calls: int = 0
    tokens: int = 0
    combine: Callable[[NDArray[np.float64]], float] = np.mean
    answers: Sequence[str] = ()

    @property
    def utility(self) -> float:
        """The task's mean of the scores; nan if any call failed, so that no fault passes for a wrong answer."""
        return float(self.combine(self.scores))

    @property
    def whole(self) -> bool:
        """Whether every question has a score."""
        return bool(np.isfinite(self.scores).all())


def identity(system: System) -> Hashable:
    """Equal for systems that answer alike."""
    return system.topology.edges, tuple(node.digest for node in system.nodes), system.sampling, system.seeds
