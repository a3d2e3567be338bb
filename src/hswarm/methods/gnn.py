"""GNN: a graph network predicts the edges of the team's graph.

As arXiv 2502.04510 ran it: graph attention over random node features learns, from graphs scored on dev, whether one
more edge raises the utility; then every possible edge is predicted.

With `edges` "gradient" a network that reads what each expert is good at is trained by policy gradient instead (cf.
G-Designer, arXiv 2410.11782): a node's features are its agreement with each expert on dev and its own score, two graph
convolutions give an embedding a node, and a bilinear form of two embeddings is an edge's logit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from hswarm.core.swarm import Array
from hswarm.core.topology import reaching
from hswarm.errors import MissingExtra
from hswarm.experts.expert import Expert
from hswarm.experts.pool import ExpertPool
from hswarm.methods import policy_gradient
from hswarm.methods.base import method
from hswarm.methods.common import ending_in, ranked_alone
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System

if TYPE_CHECKING:
    import torch

EdgeSet = frozenset[tuple[int, int]]


class Trial(NamedTuple):
    """A graph's drawn edges, one more edge, and whether it raised the utility on dev."""

    edges: EdgeSet
    edge: tuple[int, int]
    helps: bool


def add_edges(members: Sequence[Expert], evaluator: Evaluator, rng: np.random.Generator) -> list[Trial]:
    """Random graphs that grow from none, an edge at a time; each graph is scored once. As many as the recipe's systems.

    A node without a drawn edge gets one to the sink. An edge that would close a cycle is passed over.
    """
    places = np.argwhere(policy_gradient.candidates(len(members)))
    trials: list[Trial] = []
    scored, walk = 0, 0
    while scored < evaluator.systems and len(places):
        edges: EdgeSet = frozenset()
        before = _scored(edges, members, evaluator, f"walk {walk}")
        scored += 1
        for u, v in rng.permutation(places).tolist():
            if scored >= evaluator.systems:
                break
            if v in reaching(u, edges):
                continue
            after = _scored(edges | {(u, v)}, members, evaluator, f"walk {walk}: {u}-{v}")
            scored += 1
            trials.append(Trial(edges, (u, v), after > before))
            edges, before = edges | {(u, v)}, after
        walk += 1
    return trials


def _scored(edges: EdgeSet, members: Sequence[Expert], evaluator: Evaluator, step: str) -> float:
    topology = ending_in(len(members), set(edges), policy_gradient.SINK)
    return float(np.nan_to_num(evaluator.evaluate([evaluator.system(topology, members)], step)[0].utility))


def train_attention(size: int, trials: Sequence[Trial], hidden: int, epochs: int, rate: float, seed: int) -> Array:
    """Logits that an edge helps, shape (size, size), for a graph without edges, after training on `trials`.

    One head of graph attention (arXiv 1710.10903) over random node features; an edge is scored by a bilinear form of
    its ends' embeddings. Binary cross-entropy, Adam. MissingExtra without torch.
    """
    try:
        import torch
    except ImportError as missing:
        raise MissingExtra("method 'gnn'", "cpu", "gpu") from missing
    drawn = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        spread: torch.Tensor = torch.randn(*shape, generator=drawn, dtype=torch.float64) / shape[0] ** 0.5
        return spread

    features = random(size, hidden) * size**0.5
    weights = [random(hidden, hidden), random(hidden, 2), random(hidden, hidden), torch.zeros(1, dtype=torch.float64)]
    for weight in weights:
        weight.requires_grad_()

    def logits(masks: torch.Tensor) -> torch.Tensor:
        """Of masks (graphs, size, size): [g, v, u] says that v reads u, itself included; to (graphs, u, v)."""
        project, attend, form, bias = weights
        nodes = features @ project
        scores = torch.nn.functional.leaky_relu((nodes @ attend[:, :1]) + (nodes @ attend[:, 1:]).T, 0.2)
        shares = torch.softmax(scores.masked_fill(~masks, -torch.inf), dim=-1)
        found: torch.Tensor = torch.nn.functional.elu(shares @ nodes)
        edges: torch.Tensor = found @ form @ found.transpose(1, 2) + bias
        return edges

    masks = torch.stack([_reads(size, trial.edges) for trial in trials])
    ends = torch.tensor([trial.edge for trial in trials])
    labels = torch.tensor([float(trial.helps) for trial in trials], dtype=torch.float64)
    optimiser = torch.optim.Adam(weights, lr=rate)
    for _ in range(epochs):
        found = logits(masks)[torch.arange(len(trials)), ends[:, 0], ends[:, 1]]
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(found, labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        return np.asarray(logits(_reads(size, ())[None])[0].numpy())


def _reads(size: int, edges: EdgeSet | tuple[()]) -> torch.Tensor:
    import torch

    mask = torch.eye(size, dtype=torch.bool)
    for u, v in edges:
        mask[v, u] = True
    return mask


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


@method("gnn", "A graph network predicts which edges help", paper="arXiv 2502.04510", extras=("cpu", "gpu"))
@dataclass(frozen=True)
class GNN:
    """Edges with a probability above a half make the topology; the sink is the expert best alone.

    "attention": a graph attention network with `hidden` features a node, trained for `epochs` on graphs that grow edge
    by edge. "gradient": `samples` topologies a step of policy gradient. `rate` is the learning rate of either.
    """

    edges: Literal["attention", "gradient"] = "attention"
    hidden: int = 8
    epochs: int = 200
    rate: float | None = None
    samples: int = 8

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        singles = ranked_alone(pool, evaluator, rng)[: evaluator.nodes]
        members = [single.system.experts[0] for single in singles]
        if self.edges == "gradient":
            likely = self._gradient(singles, members, evaluator, rng)
        else:
            likely = self._attention(members, evaluator, rng)
        return evaluator.system(policy_gradient.topology_above(likely, 0.5), members)

    def _attention(self, members: Sequence[Expert], evaluator: Evaluator, rng: np.random.Generator) -> Array:
        trials = add_edges(members, evaluator, rng)
        if not trials:
            return np.zeros((len(members), len(members)))
        seed, rate = int(rng.integers(2**31)), self.rate or 0.01
        return policy_gradient.sigmoid(train_attention(len(members), trials, self.hidden, self.epochs, rate, seed))

    def _gradient(
        self,
        singles: Sequence[Evaluation],
        members: Sequence[Expert],
        evaluator: Evaluator,
        rng: np.random.Generator,
    ) -> Array:
        network = Network(np.nan_to_num(np.stack([single.scores for single in singles])), self.hidden, rng)

        def likely() -> Array:
            return policy_gradient.sigmoid(network.logits())

        def learn(gradient: Array) -> None:
            for weight, slope in zip(network.weights, network.gradients(gradient), strict=True):
                weight += (self.rate or 0.3) * slope

        policy_gradient.climb(members, evaluator, rng, self.samples, likely, learn)
        return likely()
