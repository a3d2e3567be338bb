"""JFK-score (arXiv 2502.04510, Algorithm 2): the worth of each expert within a topology, from random assignments."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class JFK(NamedTuple):
    """Arrays of shape (experts,): score and its standard error, in units of the utility (nan where unknown), and how
    often the expert was drawn in the assignments that count."""

    score: NDArray[np.float64]
    error: NDArray[np.float64]
    counts: NDArray[np.int64]


def draw_assignments(
    count: int,
    nodes: int,
    experts: int,
    rng: np.random.Generator,
    draw: Literal["balanced", "independent"] = "balanced",
) -> NDArray[np.int64]:
    """`count` assignments of experts to nodes, shape (count, nodes), entries in 0 .. experts-1.

    "balanced": over all places every expert occurs equally often, to within one (which have one more is random).
    "independent": each place is drawn alone, as in the paper; an expert may then never be drawn.
    ValueError: a number below one, another `draw`. Source: arXiv 2502.04510, Algorithm 2.
    """
    if min(count, nodes, experts) < 1:
        raise ValueError(f"expected at least one assignment, node and expert, got {count}, {nodes}, {experts}")
    if draw not in ("balanced", "independent"):
        raise ValueError(f"expected draw 'balanced' or 'independent', got {draw!r}")
    if draw == "independent":
        return rng.integers(0, experts, (count, nodes))
    rounds = -(-count * nodes // experts)
    places = np.concatenate([rng.permutation(experts) for _ in range(rounds)])[: count * nodes]
    return rng.permutation(places).reshape(count, nodes)


def jfk_score(assignments: ArrayLike, utilities: ArrayLike, experts: int) -> JFK:
    """score(i) = sum_j n_ij f_j / sum_j n_ij, with n_ij how often expert i occurs in assignment j of utility f_j.

    `assignments` (M, nodes), `utilities` (M,); assignments with utility nan are left out. The error is that of a
    weighted mean, sqrt(m/(m-1) sum_j n_ij^2 (f_j - score)^2) / sum_j n_ij, over the m assignments that hold i; nan
    if m < 2. ValueError: shapes that do not fit, an expert out of range, an infinite utility. Source: arXiv
    2502.04510, Algorithm 2 (the error is ours).
    """
    placed, values = np.asarray(assignments), np.asarray(utilities, dtype=np.float64)
    if placed.ndim != 2 or values.shape != (len(placed),):
        raise ValueError(f"expected one utility an assignment, got shapes {placed.shape} and {values.shape}")
    if experts < 1 or not np.issubdtype(placed.dtype, np.integer) or ((placed < 0) | (placed >= experts)).any():
        raise ValueError(f"expected assignments of whole numbers in 0 .. experts-1, with experts = {experts}")
    if np.isinf(values).any():
        raise ValueError("expected finite utilities, or nan for failed ones, got an infinite one")
    whole = ~np.isnan(values)
    times = (placed[:, :, None] == np.arange(experts)).sum(axis=1)[whole]  # n_ji
    values, totals = values[whole], times.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        score = (times * values[:, None]).sum(axis=0) / totals
        held = (times > 0).sum(axis=0)
        spread = (times**2 * (values[:, None] - score) ** 2).sum(axis=0)
        error = np.where(held > 1, np.sqrt(held / (held - 1) * spread) / totals, np.nan)
    return JFK(score, error, totals)
