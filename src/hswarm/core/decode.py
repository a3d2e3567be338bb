"""G-Decode (arXiv 2502.04510, Algorithm 4): from a continuous adjacency to a topology. Knows nothing of scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Lt
from numpy.typing import ArrayLike, NDArray

from hswarm.core.topology import Topology, reaching
from hswarm.options import SETTINGS, check_ranges

Array = NDArray[np.float64]
_HUGE = 1e300
_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class DecodeSettings:
    """`[decode]`: how G-Decode draws a graph."""

    __pydantic_config__ = SETTINGS

    top_p: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the probability that draws are made from; 0: always the most probable (argmax)."""
    out_edges: Annotated[int, Ge(1)] = 1
    """Successors of a node; 1 gives in-trees."""
    edges: Literal["one", "independent"] = "one"
    """"one": a draw for each edge (the authors' code); "independent": an edge to each node of the graph so far with its
    own probability (the paper as printed; `out_edges` is then not used)."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.out_edges > 1 and self.edges == "independent":
            raise ValueError("out_edges counts draws; with edges = 'independent' leave it at 1")

    def decode(self, adjacency: ArrayLike, rng: np.random.Generator) -> Topology:
        """The topology of `adjacency`, shape (n, n), as these settings say (`g_decode`)."""
        return g_decode(adjacency, rng, self.top_p, out_edges=self.out_edges, edges=self.edges)


def g_decode(
    adjacency: ArrayLike,
    rng: np.random.Generator,
    top_p: float = 0.0,
    *,
    out_edges: int = 1,
    edges: Literal["one", "independent"] = "one",
    sink: int | None = None,
) -> Topology:
    """The topology of `adjacency`, shape (n, n); a_uv is the weight of the edge u -> v, the diagonal is ignored.

    The sink is drawn, the least outdegree (row sum) most likely, or it is `sink`. Until none is left, a node u is drawn
    by softmax of its outdegree and gets edges to nodes v of the graph so far: with `edges` "one", `out_edges` of them
    (all, if they are fewer), drawn by softmax of a_uv without replacement; with "independent", an edge to each v with
    probability exp(a_uv) / sum_i exp(a_ui), i over the graph so far, independently of the others. A node that draws no
    edge would have no successor, so it gets the edge to its likeliest v (ties: the higher index). "Drawn" is from the
    smallest set of most likely candidates whose mass exceeds `top_p`, in [0, 1); 0 takes the most likely (ties: the
    higher index). With `edges` "one" and `top_p` 0, `rng` is not used.

    Sink weights are 1/outdegree. With an outdegree of zero or less the inverse has no order, so the weights are then
    1 / ((outdegree - least) / (greatest - least) + 0.01): the least is still the most likely, and all equal are equal.

    Any finite matrix decodes and is not written to. ValueError: not square, empty, not finite, options out of range.
    Source: arXiv 2502.04510, Algorithm 4: "independent" as printed, "one" as the authors' code draws.
    """
    matrix = np.array(adjacency, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ValueError(f"expected a square matrix of at least one node, got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError("expected finite numbers, got NaN or infinity in the adjacency matrix")
    if not 0 <= top_p < 1 or out_edges < 1:
        raise ValueError(f"expected 0 <= top_p < 1 and out_edges >= 1, got {top_p} and {out_edges}")
    np.fill_diagonal(matrix, 0.0)
    outdegree, unit = _outdegrees(matrix)
    graph = [_draw(-outdegree, _sink_weights(outdegree), rng, top_p) if sink is None else range(len(matrix))[sink]]
    remaining = [node for node in range(len(matrix)) if node != graph[0]]
    drawn: list[tuple[int, int]] = []
    while remaining:
        logits = outdegree[remaining]
        node = remaining.pop(_draw(logits, _softmax(logits, unit), rng, top_p))
        targets = sorted(graph)  # so that ties are decided by index, not by order of joining
        if edges == "independent":
            drawn += [(node, v) for v in _independent(matrix[node, targets], targets, rng)]
        else:
            for _ in range(min(out_edges, len(graph))):
                logits = matrix[node, targets]
                drawn.append((node, targets.pop(_draw(logits, _softmax(logits), rng, top_p))))
        graph.append(node)
    return Topology.of(len(matrix), drawn)


def encoded(tree: Topology) -> Array:
    """An adjacency with entries in [0, 1], shape (n, n), that G-Decode takes back to the in-tree `tree` (at `top_p` 0).

    The nearer to the sink, the sooner a node joins: its row is larger. ValueError: a node with two successors.
    """
    matrix = np.zeros((tree.size, tree.size))
    if len(tree.edges) != tree.size - 1:
        raise ValueError(f"expected an in-tree, one edge for every node but the sink, got {sorted(tree.edges)}")
    for place, node in enumerate(tree.order[:-1]):
        matrix[node] = 0.5 * (place + 1) / tree.size
        matrix[node, [v for u, v in tree.edges if u == node]] = 1
    return matrix


class Thinned(NamedTuple):
    """What is left of a topology; `nodes[i]` was its node i before."""

    topology: Topology
    nodes: tuple[int, ...]


def above(adjacency: ArrayLike, threshold: float) -> Array:
    """`adjacency` with 0 for every entry that is not above `threshold`: the paper's sparsity (arXiv 2502.04510)."""
    matrix = np.asarray(adjacency, dtype=np.float64)
    return np.where(matrix > threshold, matrix, 0.0)


def edges_gone(adjacency: ArrayLike, threshold: float = 0.0) -> float:
    """The share of edges, entries beside the diagonal, that are not above `threshold`: the paper's "speed-up"."""
    matrix = np.asarray(adjacency, dtype=np.float64)
    beside = ~np.eye(len(matrix), dtype=np.bool_)
    return float((matrix <= threshold)[beside].mean()) if len(matrix) > 1 else 0.0


def thinned(topology: Topology, adjacency: ArrayLike, threshold: float) -> Thinned:
    """`topology` less its edges (u, v) whose a_uv is not above `threshold`, and less the nodes that then have no path
    to the sink and need not be called. The sink always stays."""
    matrix = np.asarray(adjacency, dtype=np.float64)
    strong = [(u, v) for u, v in topology.edges if matrix[u, v] > threshold]
    nodes = tuple(sorted(reaching(topology.sink, strong)))
    return Thinned(topology.subgraph(nodes, strong), nodes)


def _outdegrees(matrix: Array) -> tuple[Array, float]:
    """Row sums in units of the second result: 1, or a power of two where they could overflow.

    Sums are exactly rounded: rows of equal entries in another order must tie.
    """
    unit = 2.0 ** math.ceil(math.log2(2 * len(matrix))) if np.abs(matrix).max() > _HUGE / len(matrix) else 1.0
    return np.array([math.fsum(row) for row in (matrix / unit).tolist()]), unit


def _sink_weights(outdegree: Array) -> Array:
    """Weights, not normalised, that fall with the outdegree, whatever its unit."""
    least, greatest = float(outdegree.min()), float(outdegree.max())
    if least > 0:
        return np.asarray(least / outdegree)
    if least == greatest:
        return np.ones_like(outdegree)
    return np.asarray(1 / ((outdegree - least) / (greatest - least) + _LEAST_SHARE))


def _softmax(logits: Array, unit: float = 1.0) -> Array:
    """exp(unit * logits), the greatest at 1, so that only gaps can overflow, to a weight of 0, as they should."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.exp((logits - logits.max()) * unit))


def _independent(logits: Array, targets: Sequence[int], rng: np.random.Generator) -> list[int]:
    """Each of `targets` with its softmax probability, independently; the likeliest if none is drawn."""
    weights = _softmax(logits)
    chosen = np.flatnonzero(rng.uniform(size=len(targets)) < weights / weights.sum())
    likeliest = np.lexsort((np.arange(len(logits)), logits))[-1:]
    return [targets[i] for i in (chosen if len(chosen) else likeliest)]


def _draw(keys: Array, weights: Array, rng: np.random.Generator, top_p: float) -> int:
    """An index, drawn by `weights` from the smallest set of most likely ones whose share exceeds `top_p`.

    The most likely are those of the greatest `keys`: `weights` order them alike, but rounding may tie some.
    """
    ranked = np.lexsort((np.arange(len(keys)), keys))[::-1]  # ascending by key, then index; read from the end
    if top_p == 0:
        return int(ranked[0])
    shares = weights[ranked] / weights.sum()
    kept = int(np.searchsorted(np.cumsum(shares), top_p, side="right")) + 1
    if kept == 1:
        return int(ranked[0])
    return int(rng.choice(ranked[:kept], p=shares[:kept] / shares[:kept].sum()))
