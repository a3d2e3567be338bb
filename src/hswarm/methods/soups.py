"""Model soups (arXiv 2203.05482) of the experts' updates: all of them, or added one by one while dev improves.

A soup averages whole models. Averages of updates s B A do the same for adapters of one base; the factors A and B
averaged apart would not (experts/blend.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hswarm.experts.adapter import Adapter
from hswarm.experts.blend import blend_updates
from hswarm.experts.expert import Expert
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import group, ranked_alone
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method("uniform_soup", "The plain average of all experts' weights", paper="arXiv 2203.05482")
def uniform_soup(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """The average of all experts; one call an answer, none to find it."""
    return evaluator.alone(soup(pool, group(pool), "uniform-soup"))


@method(
    "greedy_soup",
    "An average that experts join, best first, while dev does not get worse",
    paper="arXiv 2203.05482",
)
def greedy_soup(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """From the best alone: the next best joins if the average does not get worse on dev."""
    members = set(group(pool))
    ranking = [(pool.names.index(single.system.assignment[0]), single) for single in ranked_alone(pool, evaluator, rng)]
    ranking = [(place, single) for place, single in ranking if place in members]
    (first, best), *others = ranking
    chosen, system, utility = [first], best.system, best.utility
    for candidate, _ in others:
        mixed = evaluator.alone(soup(pool, [*chosen, candidate], "greedy-soup"))
        (found,) = evaluator.evaluate([mixed], f"with {pool.names[candidate]}")
        if found.utility >= utility:
            chosen, system, utility = [*chosen, candidate], mixed, found.utility
    return system


def soup(pool: ExpertPool, places: Sequence[int], name: str) -> Expert:
    """The plain average of the experts at `places`. Adapters keep every direction: the rank is the sum of theirs."""
    experts = [expert for i in places if isinstance(expert := pool.experts[i], Adapter) and expert.form]
    shares = [1 / len(places)] * len(places)
    if experts:
        rank = sum(expert.form.rank for expert in experts if expert.form)
        return blend_updates(experts, shares, name, rank)
    weights = np.zeros(len(pool.experts))
    weights[list(places)] = shares
    return pool.blend(weights, name)
