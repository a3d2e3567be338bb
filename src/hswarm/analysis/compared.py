"""A table of systems scored on the same questions, each against one of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hswarm.analysis.result import Table
from hswarm.core.stats import Paired, bootstrap_interval, paired_test
from hswarm.errors import RunError

Scores = Mapping[str, NDArray[np.float64]]


def answered(scores: Scores, where: str) -> dict[str, NDArray[np.float64]]:
    """`scores`, each of shape (questions,), on the questions that no failed call (nan) touches. RunError if none is
    left."""
    kept = np.isfinite(np.array(list(scores.values()))).all(axis=0)
    if not kept.any():
        raise RunError(f"every question of {where} had failed calls; see the engine, then run this again")
    return {name: row[kept] for name, row in scores.items()}


def compare_scores(title: str, scores: Scores, reference: str) -> tuple[Table, dict[str, Paired]]:
    """A row a system: score, interval, the paired difference to `reference` with its interval and p-value. Also those
    differences by name."""
    rows, differences = [], {}
    for name, row in scores.items():
        low, high = bootstrap_interval(row, np.random.default_rng(0))
        cells = [name, f"{row.mean():.3f}", f"{low:.3f} to {high:.3f}", "", "", ""]
        if name != reference:
            gap = paired_test(row, scores[reference], np.random.default_rng(0))
            differences[name] = gap
            cells[3:] = [f"{gap.difference:+.3f}", f"{gap.low:+.3f} to {gap.high:+.3f}", f"{gap.p_value:.3f}"]
        rows.append(tuple(cells))
    head = ("system", "score", "95 % interval", f"less {reference}", "95 % interval", "p")
    return Table(title, head, tuple(rows)), differences
