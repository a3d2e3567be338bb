"""Topologies drawn edge by edge from probabilities, and the policy gradient that GPTSwarm and its kin share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from hswarm.core.swarm import Array
from hswarm.core.topology import Topology, reaching
from hswarm.experts.expert import Expert
from hswarm.methods.common import ending_in
from hswarm.session.evaluator import Evaluator

SINK = 0  # the expert that is best alone gives the answer


def candidates(size: int) -> NDArray[np.bool_]:
    """Shape (size, size): which edges may be drawn; none leaves the sink or returns to its node."""
    allowed = ~np.eye(size, dtype=bool)
    allowed[SINK] = False
    return allowed


def sigmoid(logits: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))))


def draw_topology(probabilities: Array, rng: np.random.Generator) -> tuple[Topology, Array]:
    """A topology of edges drawn in random order, those that would close a cycle left out.

    Also d log P / d logit of each edge, shape (n, n); zero where an edge had no chance.
    """
    size = len(probabilities)
    edges: set[tuple[int, int]] = set()
    gradient = np.zeros((size, size))
    places = np.argwhere(candidates(size))
    for u, v in rng.permutation(places).tolist():
        if v in reaching(u, edges):
            continue
        drawn = rng.random() < probabilities[u, v]
        gradient[u, v] = drawn - probabilities[u, v]
        if drawn:
            edges.add((u, v))
    return ending_in(size, edges, SINK), gradient


def likely_topology(probabilities: Array, chosen: Iterable[Sequence[int]]) -> Topology:
    """`chosen` edges, the most probable first, those that would close a cycle left out."""
    edges: set[tuple[int, int]] = set()
    for u, v in sorted(chosen, key=lambda edge: (-probabilities[edge[0], edge[1]], edge)):
        if v not in reaching(u, edges):
            edges.add((u, v))
    return ending_in(len(probabilities), edges, SINK)


def topology_above(probabilities: Array, threshold: float) -> Topology:
    """The edges with a probability above `threshold`, the most probable first."""
    chosen = np.argwhere((probabilities > threshold) & candidates(len(probabilities))).tolist()
    return likely_topology(probabilities, chosen)


def climb(
    members: Sequence[Expert],
    evaluator: Evaluator,
    rng: np.random.Generator,
    samples: int,
    likely: Callable[[], Array],
    learn: Callable[[Array], None],
) -> None:
    """Policy gradient: rounds of `samples` topologies of `members`, as many as make up the recipe's number of systems.

    They are drawn from the edges' probabilities `likely()`; `learn` gets each round's gradient by their logits, (n, n).
    """
    for step in range(rounds(evaluator, samples)):
        probabilities = likely()
        drawn = [draw_topology(probabilities, rng) for _ in range(samples)]
        found = evaluator.evaluate([evaluator.system(topology, members) for topology, _ in drawn], f"step {step}")
        gains = advantages(np.array([evaluation.utility for evaluation in found]))
        learn(np.mean([gain * each for gain, (_, each) in zip(gains, drawn, strict=True)], axis=0))


def advantages(utilities: Array) -> Array:
    """How much better than their mean, in standard deviations; 0 where utilities are equal or failed."""
    centred = np.nan_to_num(utilities - np.nanmean(utilities)) if not np.isnan(utilities).all() else utilities * 0
    spread = centred.std()
    return np.asarray(centred / spread if spread > 1e-12 else np.zeros(len(utilities)))


def rounds(evaluator: Evaluator, samples: int) -> int:
    """Rounds of `samples` topologies that make up the recipe's number of systems."""
    return max(1, evaluator.systems // samples)
