"""Chain of thought (arXiv 2201.11903) and graph of thoughts (arXiv 2308.09687) on the best single expert.

Two controls of arXiv 2502.04510: what one expert gains by thinking longer, or by reading its own thoughts, without a
second expert. The wording is ours. Small experts that were trained to answer in a word may lose by it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hswarm.core.topology import Topology
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import ranked_alone
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System

_THINK = "Think step by step: write down each step, then give one definite answer at the end."
_COMBINE = "Several attempts at this question are listed. Combine their correct steps into one solution."
_REFINE = (
    "A solution of this question is listed. Check each step, correct what is wrong, then give one definite answer at "
    "the end."
)


@method("chain_of_thought", "The best single expert, told to think step by step: a control", paper="arXiv 2201.11903")
@dataclass(frozen=True)
class ChainOfThought:
    """One call an answer, of at most `max_new_tokens` tokens. `instruction` "" is our own."""

    instruction: str = ""
    max_new_tokens: int = 256

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        found = ranked_alone(pool, evaluator, rng)[0].system
        prompts = replace(found.prompts, style="place", first=self.instruction or _THINK)
        sampling = replace(evaluator.sampling, max_new_tokens=self.max_new_tokens)
        return replace(found, prompts=prompts, sampling=sampling)


@method(
    "graph_of_thought",
    "Thoughts of the best single expert, combined and checked by itself: a control",
    paper="arXiv 2308.09687",
)
@dataclass(frozen=True)
class GraphOfThought:
    """`thoughts` samples at `temperature` (0: as many as make a system of the recipe's size), a node that combines
    them, and the sink, which checks the result. All nodes are the expert best alone; replies have at most
    `max_new_tokens` tokens. `prompts` "recipe" keeps the recipe's instructions, for experts that know no others."""

    thoughts: int = 0
    temperature: float = 0.7
    max_new_tokens: int = 256
    prompts: Literal["thought", "recipe"] = "thought"

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        expert = ranked_alone(pool, evaluator, rng)[0].system.experts[0]
        count = self.thoughts or max(1, evaluator.nodes - 2)
        edges = [*((thought, count) for thought in range(count)), (count, count + 1)]
        first = int(rng.integers(2**31))
        system = evaluator.system(
            Topology.of(count + 2, edges),
            [expert] * (count + 2),
            seeds=tuple(range(first, first + count + 2)),
            sampling=replace(evaluator.sampling, temperature=self.temperature, max_new_tokens=self.max_new_tokens),
        )
        if self.prompts == "recipe":
            return system
        prompts = replace(system.prompts, style="place", first=_THINK, middle=_COMBINE, sink=_REFINE)
        return replace(system, prompts=prompts)
