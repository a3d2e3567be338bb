"""G-Decode (arXiv 2502.04510, Algorithm 4): from a continuous adjacency matrix to a topology. Knows nothing of scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hswarm.core.topology import Topology

Array = NDArray[np.float64]


def g_decode(adjacency: ArrayLike, rng: np.random.Generator, top_p: float = 0.0, *, out_edges: int = 1) -> Topology:
    """The topology of `adjacency`, shape (n, n); a_uv says how much u speaks to v, the diagonal is ignored.

    The sink is drawn, the least outdegree most likely. Then a remaining node is drawn by its outdegree and speaks to
    `out_edges` nodes of the graph so far, drawn by a_uv, until none is left. `top_p` 0 takes the most likely (ties: the
    higher index) without using `rng`. Any finite matrix decodes and is not written to; else ValueError.
    """
    matrix = np.array(adjacency, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ValueError(f"expected a square matrix of at least one node, got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError("expected finite numbers, got NaN or infinity in the adjacency matrix")
    if not 0 <= top_p < 1 or out_edges < 1:
        raise ValueError(f"expected 0 <= top_p < 1 and out_edges >= 1, got {top_p} and {out_edges}")
    np.fill_diagonal(matrix, 0.0)
    outdegree = _clipped_sum(matrix)
    joined = [_draw(_sink_weights(outdegree), rng, top_p)]
    remaining = [node for node in range(len(matrix)) if node != joined[0]]
    edges: list[tuple[int, int]] = []
    while remaining:
        node = remaining.pop(_draw(_softmax(outdegree[remaining]), rng, top_p))
        targets = list(joined)
        for _ in range(min(out_edges, len(joined))):
            edges.append((node, targets.pop(_draw(_softmax(matrix[node, targets]), rng, top_p))))
        joined.append(node)
    return Topology.of(len(matrix), edges)


def _clipped_sum(matrix: Array) -> Array:
    """Row sums; sums beyond the largest float stay at it, in order."""
    scale = max(1.0, float(np.abs(matrix).max()))
    with np.errstate(over="ignore"):
        sums = (matrix / scale).sum(axis=1)
        if scale > 1e300:
            return sums  # only their order and huge gaps are left to tell apart
        return np.asarray(sums * scale) if scale > 1.0 else matrix.sum(axis=1)


def _sink_weights(outdegree: Array) -> Array:
    """1/outdegree, normalised. PSO moves outdegrees to zero and below, where the inverse has no order: then the least
    outdegree is taken as a hundredth of the largest gap, so that the ranking holds."""
    least = float(outdegree.min())
    if least <= 0:
        gap = float(np.ptp(outdegree / 2)) * 2 if np.isfinite(np.ptp(outdegree)) else float(np.finfo(float).max) / 4
        outdegree = outdegree - least + max(gap / 100, np.finfo(float).tiny * 1e10)
    weights = np.asarray(outdegree.min() / outdegree)  # relative to the least, so nothing overflows
    return np.asarray(weights / weights.sum())


def _softmax(values: Array) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        weights = np.exp(values - values.max())
    return np.asarray(weights / weights.sum())


def _draw(probabilities: Array, rng: np.random.Generator, top_p: float) -> int:
    """An index, from the smallest set of most likely ones whose mass exceeds `top_p`."""
    # Ascending by probability, then by index; read from the end.
    ranked = np.lexsort((np.arange(len(probabilities)), probabilities))[::-1]
    mass = np.cumsum(probabilities[ranked])
    kept = ranked[: int(np.searchsorted(mass, top_p, side="right")) + 1]
    if len(kept) == 1:
        return int(kept[0])
    weights = probabilities[kept]
    return int(rng.choice(kept, p=weights / weights.sum()))
