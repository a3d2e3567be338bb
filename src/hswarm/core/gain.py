"""C-Gain (arXiv 2502.04510, section 5): how much a system solves beyond its experts alone. Knows numbers only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hswarm.core.stats import Interval, bootstrap_interval


class Bucket(NamedTuple):
    """The `questions` that `solvers` of the n experts solve alone, and the share of them that the system solves (nan
    if there are none); `expected` is solvers / n, what one expert drawn at random would score there."""

    solvers: int
    questions: int
    accuracy: float
    expected: float


class CGain(NamedTuple):
    """C-Gain with its 95 % interval, and the buckets from 0 to n solvers."""

    value: float
    interval: Interval
    buckets: tuple[Bucket, ...]

    @property
    def nobody(self) -> Bucket:
        """B_0: the questions that no expert solves alone."""
        return self.buckets[0]


def collaborative_gain(system: ArrayLike, alone: ArrayLike, rng: np.random.Generator) -> CGain:
    """C-Gain = sum_k |B_k| / |D| (Acc(B_k) - k / n), k from 1 to n: B_k are the questions that k of n experts solve.

    `alone` (experts, questions) says who solves what, `system` (questions,) whether the system does, or in what share
    of its runs. B_0, what no expert solves alone, is not in the sum: its bucket is separate (`nobody`). The sum is the
    mean over all questions of system - k / n, 0 in B_0,
    so its interval is a bootstrap over questions. ValueError: shapes that do not fit, no question.
    """
    solved, single = np.asarray(system, dtype=np.float64), np.asarray(alone, dtype=bool)
    if solved.ndim != 1 or not len(solved) or single.ndim != 2 or single.shape[1] != len(solved) or not len(single):
        raise ValueError(f"expected shapes (questions,) and (experts, questions), got {solved.shape}, {single.shape}")
    solvers, experts = single.sum(axis=0), len(single)
    buckets = tuple(_bucket(k, experts, solved[solvers == k]) for k in range(experts + 1))
    gains = np.where(solvers > 0, solved - solvers / experts, 0.0)
    return CGain(float(gains.mean()), bootstrap_interval(gains, rng), buckets)


def _bucket(solvers: int, experts: int, solved: NDArray[np.float64]) -> Bucket:
    return Bucket(solvers, len(solved), float(solved.mean()) if len(solved) else float("nan"), solvers / experts)
