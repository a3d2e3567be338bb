"""Pack of LLMs (PackLLM, arXiv 2404.11531): experts draw each token together, by how well each knows the prompt.

Its similarity variant: weights are the softmax of the -log perplexity of the prompt. Needs an engine with next-token
distributions (transformers, beside openvino too; toy).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hswarm.experts.fusion import Fusion
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import group
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method(
    "pack_of_llms",
    "Experts draw each token together, by how well each knows the prompt",
    paper="arXiv 2404.11531",
)
@dataclass(frozen=True)
class PackOfLLMs:
    """`temperature` of the weights: near 0 the best expert for the prompt decides alone."""

    temperature: float = 1.0

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        experts = [pool.experts[i] for i in group(pool)]
        return evaluator.alone(Fusion.join(experts, temperature=self.temperature, name="pack"))
