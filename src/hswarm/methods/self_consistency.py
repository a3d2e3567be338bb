"""Self-consistency (arXiv 2203.11171): samples of the best single expert, the majority is the answer.

A control that the paper lacks: as many calls an answer as a system of all nodes makes, and no second expert.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hswarm.core.topology import Topology
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import ranked_alone
from hswarm.session.evaluator import Evaluator
from hswarm.system.rules import Vote
from hswarm.system.system import System


@method("self_consistency", "Samples of the best single expert, the majority is the answer", paper="arXiv 2203.11171")
@dataclass(frozen=True)
class SelfConsistency:
    """`samples` 0 is one a node of the recipe's systems."""

    samples: int = 0
    temperature: float = 0.7

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        expert = ranked_alone(pool, evaluator, rng)[0].system.experts[0]
        count = self.samples or evaluator.nodes
        first = int(rng.integers(2**31))
        return evaluator.system(
            Topology.star(count + 1),
            [*[expert] * count, Vote.new()],
            seeds=tuple(range(first, first + count + 1)),
            sampling=replace(evaluator.sampling, temperature=self.temperature),
        )
