"""GPTSwarm (arXiv 2402.16823), its optimisation of edges: one probability an edge.

As arXiv 2502.04510 ran it, without gradients: adjacency matrices are interpolated, weighted by their utilities. With
`edges` "reinforce" the probabilities are learnt by REINFORCE, as in GPTSwarm itself.
Here an agent is an expert and the final decision is that of the expert best alone, which reads every node
without another successor. The gradient uses the batch's mean as its baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hswarm.core.swarm import Array
from hswarm.experts.expert import Expert
from hswarm.experts.pool import ExpertPool
from hswarm.methods import policy_gradient
from hswarm.methods.base import method
from hswarm.methods.common import team
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method("gptswarm", "One probability an edge, adjacencies interpolated by utility", paper="arXiv 2402.16823")
@dataclass(frozen=True)
class GPTSwarm:
    """`samples` topologies a step. "interpolate": the best topology scored; "reinforce": at the end, edges with a
    probability above `threshold`, learnt at `rate`."""

    edges: Literal["interpolate", "reinforce"] = "interpolate"
    samples: int = 8
    rate: float = 0.5
    threshold: float = 0.5

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        members = team(pool, evaluator, rng)
        if self.edges == "interpolate":
            return self._interpolated(members, evaluator, rng)
        logits = np.zeros((len(members), len(members)))

        def learn(gradient: Array) -> None:
            logits[:] += self.rate * gradient

        policy_gradient.climb(members, evaluator, rng, self.samples, lambda: policy_gradient.sigmoid(logits), learn)
        likely = policy_gradient.sigmoid(logits)
        return evaluator.system(policy_gradient.topology_above(likely, self.threshold), members)

    def _interpolated(self, members: Sequence[Expert], evaluator: Evaluator, rng: np.random.Generator) -> System:
        matrices = rng.uniform(0, 1, (self.samples, len(members), len(members)))
        scored: list[Evaluation] = []
        for step in range(policy_gradient.rounds(evaluator, self.samples)):
            drawn = [policy_gradient.draw_topology(matrix, rng)[0] for matrix in matrices]
            found = evaluator.evaluate([evaluator.system(topology, members) for topology in drawn], f"step {step}")
            scored += found
            matrices = interpolated(matrices, np.array([evaluation.utility for evaluation in found]), rng)
        return max(scored, key=lambda evaluation: np.nan_to_num(evaluation.utility)).system


def interpolated(matrices: Array, utilities: Array, rng: np.random.Generator) -> Array:
    """As many matrices, shape (samples, n, n), each between two of `matrices` drawn by utility, in its proportion."""
    weights = np.maximum(np.nan_to_num(utilities), 0) + 1e-6
    pairs = rng.choice(len(matrices), (len(matrices), 2), p=weights / weights.sum())
    shares = weights[pairs] / weights[pairs].sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("sp,spuv->suv", shares, matrices[pairs]))
