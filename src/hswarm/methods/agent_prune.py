"""AgentPrune (arXiv 2410.02506): a dense graph is pruned of its least useful edges.

As arXiv 2502.04510 ran it: a random structure is pruned to several degrees and scored again, 20 times, and the best of
all counts. With `runs` 0 an edge mask is trained to be useful and of low rank, then pruned once, as in AgentPrune. Then
 agents are the team's experts, the dense graph has every edge that does not leave the sink (the expert best
alone), and the mask is trained by policy gradient on dev, less `rank_weight` times the nuclear norm's gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hswarm.core.swarm import Array
from hswarm.core.topology import Topology
from hswarm.experts.pool import ExpertPool
from hswarm.methods import policy_gradient
from hswarm.methods.base import method
from hswarm.methods.common import best_of, team
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method("agent_prune", "Random dense graphs, pruned to several degrees", paper="arXiv 2410.02506")
@dataclass(frozen=True)
class AgentPrune:
    """`runs` random structures, each whole and with the shares `degrees` of its edges cut, the weakest. With `runs` 0,
    `pruned` is the share cut in the end, of the trained mask's smallest values."""

    runs: int = 20
    degrees: tuple[float, ...] = (0.25, 0.5, 0.75)
    samples: int = 8
    rate: float = 0.5
    rank_weight: float = 0.1
    pruned: float = 0.5

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        members = team(pool, evaluator, rng)
        allowed = policy_gradient.candidates(len(members))
        if self.runs:
            made = [
                evaluator.system(topology, members)
                for _ in range(self.runs)
                for topology in pruned_to(rng.uniform(0, 1, allowed.shape), (0.0, *self.degrees))
            ]
            return best_of(evaluator, made, "pruned")
        logits = np.where(allowed, 1.0, -30.0)  # dense at first

        def learn(gradient: Array) -> None:
            mask = policy_gradient.sigmoid(logits)
            left, _, right = np.linalg.svd(mask * allowed)
            gradient = gradient - self.rank_weight * (left @ right) * mask * (1 - mask)  # of the sum of singular values
            logits[:] += self.rate * np.where(allowed, gradient, 0)

        policy_gradient.climb(members, evaluator, rng, self.samples, lambda: policy_gradient.sigmoid(logits), learn)
        mask = policy_gradient.sigmoid(logits)
        order = sorted(np.argwhere(allowed).tolist(), key=lambda edge: (-mask[edge[0], edge[1]], edge))
        kept = order[: max(1, round((1 - self.pruned) * len(order)))]
        return evaluator.system(policy_gradient.likely_topology(mask, kept), members)


def pruned_to(mask: Array, degrees: Sequence[float]) -> list[Topology]:
    """For each of `degrees`, the acyclic graph of `mask`'s edges less that share of them, those of the least values."""
    dense = policy_gradient.likely_topology(mask, np.argwhere(policy_gradient.candidates(len(mask))).tolist())
    order = sorted(dense.edges, key=lambda edge: (-mask[edge], edge))
    return [policy_gradient.likely_topology(mask, order[: round((1 - cut) * len(order))]) for cut in degrees]
