"""GNN: a graph network reads what each expert is good at and predicts the edges (cf. G-Designer, arXiv 2410.11782).

The paper names "GNNs" without a definition. Here: a node's features are its agreement with each expert on dev and its
own score; two graph convolutions over the graph of agreement give an embedding a node; a bilinear form of two
embeddings is an edge's logit. All weights are trained by policy gradient on dev, from `rng`'s start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hswarm.experts.pool import ExpertPool
from hswarm.methods import policy_gradient
from hswarm.methods.base import method
from hswarm.methods.common import ranked_alone
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System

Array = NDArray[Any]


class Network:
    """Z = A tanh(A X W1) W2, logits = Z M Z^T, with A the agreement graph, rows normalised."""

    def __init__(self, scores: Array, hidden: int, rng: np.random.Generator) -> None:
        agreement = 1 - np.abs(scores[:, None] - scores[None]).mean(axis=2)
        self._graph = agreement / agreement.sum(axis=1, keepdims=True)
        self._features = np.hstack([agreement, scores.mean(axis=1, keepdims=True), np.eye(len(scores))])
        sizes = [(self._features.shape[1], hidden), (hidden, hidden), (hidden, hidden)]
        self.weights = [rng.normal(0, 1 / np.sqrt(rows), (rows, columns)) for rows, columns in sizes]

    def logits(self) -> Array:
        """Shape (n, n)."""
        first, second, form = self.weights
        self._inner = np.tanh(self._graph @ self._features @ first)
        self._nodes = self._graph @ self._inner @ second
        return np.asarray(self._nodes @ form @ self._nodes.T)

    def gradients(self, gradient: Array) -> list[Array]:
        """Of each weight, from that of the logits last computed."""
        _, second, form = self.weights
        nodes = gradient @ self._nodes @ form.T + gradient.T @ self._nodes @ form
        inner = (self._graph.T @ nodes @ second.T) * (1 - self._inner**2)
        return [
            (self._graph @ self._features).T @ inner,
            (self._graph @ self._inner).T @ nodes,
            self._nodes.T @ gradient @ self._nodes,
        ]


@method("gnn", "A graph network reads what each expert is good at and predicts the edges", paper="arXiv 2410.11782")
@dataclass(frozen=True)
class GNN:
    """`samples` topologies a step; edges with a probability above a half at the end make the topology."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    samples: int = 8
    rate: float = 0.3
    hidden: int = 8

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        singles = ranked_alone(pool, evaluator, rng)[: evaluator.nodes]
        members = [single.system.experts[0] for single in singles]
        network = Network(np.nan_to_num(np.stack([single.scores for single in singles])), self.hidden, rng)
        for step in range(policy_gradient.rounds(evaluator, self.samples)):
            likely = policy_gradient.sigmoid(network.logits())
            drawn = [policy_gradient.draw_topology(likely, rng) for _ in range(self.samples)]
            found = evaluator.evaluate([evaluator.system(topology, members) for topology, _ in drawn], f"step {step}")
            gains = policy_gradient.advantages(np.array([evaluation.utility for evaluation in found]))
            gradient = np.mean([gain * each for gain, (_, each) in zip(gains, drawn, strict=True)], axis=0)
            for weight, slope in zip(network.weights, network.gradients(gradient), strict=True):
                weight += self.rate * slope
        likely = policy_gradient.sigmoid(network.logits())
        chosen = np.argwhere((likely > 0.5) & policy_gradient.candidates(len(members))).tolist()
        return evaluator.system(policy_gradient.likely_topology(likely, chosen), members)
