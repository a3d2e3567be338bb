"""Intervals and paired tests for scores of examples: bootstrap and sign-flip permutation.

Knows numbers only: not which system, task or split they belong to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CELLS = 2_000_000  # drawn at once, so that memory stays small


class Interval(NamedTuple):
    """The ends of a confidence interval."""

    low: float
    high: float


class Paired(NamedTuple):
    """Mean of a - b, its interval, and the two-sided p-value of no difference."""

    difference: float
    low: float
    high: float
    p_value: float

    def __str__(self) -> str:
        return f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def bootstrap_interval(
    scores: ArrayLike, rng: np.random.Generator, level: float = 0.95, resamples: int = 10_000
) -> Interval:
    """Percentile bootstrap interval, in units of the scores, of the mean of `scores`, shape (n,), n >= 1.

    ValueError: no scores, not a row, not finite, `level` not in (0, 1), fewer than one resample.
    """
    values = _checked(scores)
    _check_options(level, resamples)
    means = _resampled_means(values, rng, resamples)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Interval(low, high)


def paired_test(
    a: ArrayLike, b: ArrayLike, rng: np.random.Generator, level: float = 0.95, resamples: int = 10_000
) -> Paired:
    """Compare scores of the same examples, both of shape (n,): mean of a - b, its bootstrap interval, a p-value.

    p = (1 + #extreme) / (1 + resamples), two-sided, of random sign flips of a - b; errors as in `bootstrap_interval`.
    """
    _check_options(level, resamples)
    left, right = _checked(a), _checked(b)
    if left.shape != right.shape:
        raise ValueError(f"expected scores of the same examples, got {len(left)} and {len(right)}")
    gaps = left - right
    observed = abs(gaps.sum()) - 1e-9 * np.abs(gaps).sum()  # flips that tie but for rounding are extreme too
    extreme = 0
    for count in _portions(len(gaps), resamples):
        signs = rng.integers(0, 2, (count, len(gaps)), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ gaps) >= observed).sum())
    low, high = bootstrap_interval(gaps, rng, level, resamples)
    return Paired(float(gaps.mean()), low, high, (1 + extreme) / (1 + resamples))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): p-values, in the order given, that hold for all comparisons together."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = least
    return corrected


def _checked(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"expected a non-empty row of finite scores, got shape {values.shape}")
    return values


def _check_options(level: float, resamples: int) -> None:
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"expected 0 < level < 1 and resamples >= 1, got {level} and {resamples}")


def _resampled_means(values: NDArray[np.float64], rng: np.random.Generator, resamples: int) -> NDArray[np.float64]:
    means = [
        values[rng.integers(0, len(values), (count, len(values)))].mean(axis=1)
        for count in _portions(len(values), resamples)
    ]
    return np.concatenate(means)


def _portions(width: int, resamples: int) -> list[int]:
    """`resamples` in portions of at most _CELLS numbers."""
    portion = max(1, _CELLS // width)
    return [min(portion, resamples - start) for start in range(0, resamples, portion)]
