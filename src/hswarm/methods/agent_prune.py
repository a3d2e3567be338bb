"""AgentPrune (arXiv 2410.02506): a dense graph's edge mask is trained to be useful and of low rank, then pruned once.

Here agents are the team's experts, the dense graph has every edge that does not leave the sink (the expert best
alone), and the mask is trained by policy gradient on dev, less `rank_weight` times the nuclear norm's gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hswarm.experts.pool import ExpertPool
from hswarm.methods import policy_gradient
from hswarm.methods.base import method
from hswarm.methods.common import team
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method("agent_prune", "A dense graph's edge mask is trained, then pruned once", paper="arXiv 2410.02506")
@dataclass(frozen=True)
class AgentPrune:
    """`pruned` is the share of edges cut in the end, those of the smallest mask values."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    samples: int = 8
    rate: float = 0.5
    rank_weight: float = 0.1
    pruned: float = 0.5

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        members = team(pool, evaluator, rng)
        allowed = policy_gradient.candidates(len(members))
        logits = np.where(allowed, 1.0, -30.0)  # dense at first
        for step in range(policy_gradient.rounds(evaluator, self.samples)):
            mask = policy_gradient.sigmoid(logits)
            drawn = [policy_gradient.draw_topology(mask, rng) for _ in range(self.samples)]
            found = evaluator.evaluate([evaluator.system(topology, members) for topology, _ in drawn], f"step {step}")
            gains = policy_gradient.advantages(np.array([evaluation.utility for evaluation in found]))
            gradient = np.mean([gain * each for gain, (_, each) in zip(gains, drawn, strict=True)], axis=0)
            left, _, right = np.linalg.svd(mask * allowed)
            gradient -= self.rank_weight * (left @ right) * mask * (1 - mask)  # of the sum of singular values
            logits += self.rate * np.where(allowed, gradient, 0)
        mask = policy_gradient.sigmoid(logits)
        order = sorted(np.argwhere(allowed).tolist(), key=lambda edge: (-mask[edge[0], edge[1]], edge))
        kept = order[: max(1, round((1 - self.pruned) * len(order)))]
        return evaluator.system(policy_gradient.likely_topology(mask, kept), members)
