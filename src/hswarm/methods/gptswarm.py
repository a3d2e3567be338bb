"""GPTSwarm (arXiv 2402.16823), its optimisation of edges: one probability an edge, learnt by REINFORCE.

Here an agent is an expert and the final decision is that of the expert best alone, which hears every node that
speaks to nobody else. The gradient uses the batch's mean as its baseline.
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


@method("gptswarm", "One probability an edge, learnt by REINFORCE", paper="arXiv 2402.16823")
@dataclass(frozen=True)
class GPTSwarm:
    """`samples` topologies a step; edges with a probability above `threshold` at the end make the topology."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    samples: int = 8
    rate: float = 0.5
    threshold: float = 0.5

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        members = team(pool, evaluator, rng)
        logits = np.zeros((len(members), len(members)))
        for step in range(policy_gradient.rounds(evaluator, self.samples)):
            drawn = [policy_gradient.draw_topology(policy_gradient.sigmoid(logits), rng) for _ in range(self.samples)]
            found = evaluator.evaluate([evaluator.system(topology, members) for topology, _ in drawn], f"step {step}")
            gains = policy_gradient.advantages(np.array([evaluation.utility for evaluation in found]))
            gradients = [gain * gradient for gain, (_, gradient) in zip(gains, drawn, strict=True)]
            logits += self.rate * np.mean(gradients, axis=0)
        likely = policy_gradient.sigmoid(logits)
        chosen = np.argwhere((likely > self.threshold) & policy_gradient.candidates(len(members))).tolist()
        return evaluator.system(policy_gradient.likely_topology(likely, chosen), members)
