"""AgentVerse (arXiv 2308.10848): recruit a team, let it decide together, judge the outcome, recruit again.

In this setting: the solver (the expert best alone) drafts, the recruited reviewers answer with the draft before them,
and the solver decides with all of it before it (the paper's vertical structure). Reviewers are drawn by the mean
utility, on dev, of the teams that they were in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hswarm.core.topology import Topology
from hswarm.experts.expert import Expert
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import ranked_alone
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method("agentverse", "A solver drafts, recruited reviewers answer, the solver decides", paper="arXiv 2308.10848")
@dataclass(frozen=True)
class AgentVerse:
    """`sharpness` of the draw: 0 recruits blindly, large values recruit those who did best so far."""

    sharpness: float = 10.0

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        singles = ranked_alone(pool, evaluator, rng)
        experts = [single.system.experts[0] for single in singles]
        count = max(1, min(evaluator.nodes - 2, len(experts) - 1))
        worth: list[list[float]] = [[float(np.nan_to_num(single.utility))] for single in singles[1:]]
        best: Evaluation | None = None
        for turn in range(evaluator.systems):
            means = np.array([np.mean(each) for each in worth])
            raised = np.exp(self.sharpness * (means - means.max())) + 1e-6
            chosen = rng.choice(len(worth), count, replace=False, p=raised / raised.sum())
            (found,) = evaluator.evaluate([_panel(evaluator, experts, sorted(chosen + 1))], f"turn {turn}")
            for reviewer in chosen:
                worth[reviewer].append(float(np.nan_to_num(found.utility)))
            best = found if best is None or found.utility > best.utility else best
        assert best is not None
        return best.system


def _panel(evaluator: Evaluator, experts: list[Expert], reviewers: list[int]) -> System:
    """Draft at node 0, reviewers after it, the solver once more at the last node."""
    last = len(reviewers) + 1
    edges = {(0, last)} | {(0, node) for node in range(1, last)} | {(node, last) for node in range(1, last)}
    members = [experts[0], *(experts[i] for i in reviewers), experts[0]]
    return evaluator.system(Topology.of(last + 1, edges), members)
