"""Role against weight importance: how much of the gain is the graph's, how much the weights' (arXiv 2502.04510)."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hswarm.analysis.ablation import halves
from hswarm.analysis.context import AnalysisContext, analysis, whole
from hswarm.analysis.result import AnalysisResult, Table
from hswarm.core.stats import bootstrap_interval
from hswarm.plots.bars import bars_svg

_SYSTEMS = ("start", "found roles alone", "found weights alone", "found system")


class Share(NamedTuple):
    """A difference of scores with its 95 % interval."""

    value: float
    low: float
    high: float


class Shares(NamedTuple):
    """What roles and weights add to the start's score (their Shapley values: they add up to the whole gain), and the
    difference of the two."""

    roles: Share
    weights: Share
    between: Share


@analysis("importance", "How much of the gain is the graph's, how much the weights'", paper="arXiv 2502.04510")
def importance(subject: AnalysisContext) -> AnalysisResult:
    """The four systems that have found roles, found weights, both or neither, on test by default."""
    split = subject.split("test")
    four = halves(subject, lambda topology, experts: replace(subject.system, topology=topology, nodes=tuple(experts)))
    examples = subject.examples(split, sum(system.calls for system in four))
    scores = subject.scores(four, examples, "roles and weights")
    scores = scores[:, whole(scores)]
    shares = importance_of(scores)
    intervals = [bootstrap_interval(row, np.random.default_rng(0)) for row in scores]
    rows = tuple(
        (name, f"{row.mean():.3f}", f"{ends.low:.3f} to {ends.high:.3f}")
        for name, row, ends in zip(_SYSTEMS, scores, intervals, strict=True)
    )
    table = Table(f"Scores on {scores.shape[1]} {split} questions", ("system", "score", "95 % interval"), rows)
    picture = bars_svg(
        _SYSTEMS, scores.mean(axis=1).tolist(), f"roles and weights, each alone and both, on {split}", intervals
    )
    numbers = {
        "split": split,
        "scores": scores.mean(axis=1).tolist(),
        **{name: list(share) for name, share in shares._asdict().items()},
    }
    return AnalysisResult(
        "importance", "Role against weight importance", _says(shares), (table,), picture, numbers, subject.spent()
    )


def importance_of(scores: NDArray[np.float64]) -> Shares:
    """Of scores (4, questions): start, roles alone, weights alone, both. Each half's gain is the mean of what it adds
    to the start and to the other half."""
    start, roles, weights, both = scores
    of_roles = ((roles - start) + (both - weights)) / 2
    of_weights = ((weights - start) + (both - roles)) / 2
    return Shares(*map(_share, (of_roles, of_weights, of_roles - of_weights)))


def _share(row: NDArray[np.float64]) -> Share:
    return Share(float(row.mean()), *bootstrap_interval(row, np.random.default_rng(0)))


def _says(shares: Shares) -> tuple[str, ...]:
    lines = [
        f"{name} add {share.value:+.3f} (95 % interval {share.low:+.3f} to {share.high:+.3f})"
        for name, share in (("roles", shares.roles), ("weights", shares.weights))
    ]
    _, low, high = shares.between
    more = "roles matter more" if low > 0 else "weights matter more" if high < 0 else "which matters more is open"
    return (*lines, f"{more}: roles - weights = {shares.between.value:+.3f} ({low:+.3f} to {high:+.3f})")
