"""LoraHub (arXiv 2307.13269): one weight an expert, found without gradients; A and B are added apart, as its code does.

Its optimiser (nevergrad's NGOpt) is CMA-ES here, its few-shot loss is 1 - utility on dev. Bounds and L1 term are its
own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from cmaes import CMA
from numpy.typing import NDArray

from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import group
from hswarm.session.budget import BudgetSpent
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method("lorahub", "One weight an expert, found without gradients", paper="arXiv 2307.13269")
@dataclass(frozen=True)
class LoraHub:
    """Weights within [-bound, bound], `l1` times their mean size added to the loss, `sigma` the first spread."""

    bound: float = 1.5
    l1: float = 0.05
    sigma: float = 0.5

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        places = group(pool)
        bounds = np.tile([-self.bound, self.bound], (len(places), 1))
        optimiser = CMA(np.zeros(len(places)), self.sigma, bounds=bounds, seed=int(rng.integers(2**31)))
        best: tuple[float, System] | None = None
        generations = max(1, evaluator.systems // optimiser.population_size)
        for generation in range(generations):
            points = [optimiser.ask() for _ in range(optimiser.population_size)]
            rows = [_row(point, places, pool) for point in points]
            systems = [evaluator.alone(expert) for expert in pool.blends(rows, ["lorahub"] * len(rows))]
            spent = None
            try:
                found = evaluator.evaluate(systems, f"generation {generation}")
            except BudgetSpent as fault:
                spent, found = fault, fault.evaluations
            losses = [self._loss(*pair) for pair in zip(points, found, strict=False)]
            for loss, evaluation in zip(losses, found, strict=True):
                if best is None or loss < best[0]:
                    best = loss, evaluation.system
            if spent:
                break
            optimiser.tell(list(zip(points, losses, strict=True)))
            if optimiser.should_stop():
                break
        if best is None:
            raise BudgetSpent([], evaluator.recipe.budget.text())
        return best[1]

    def _loss(self, point: NDArray[np.float64], evaluation: Evaluation) -> float:
        utility = float(np.nan_to_num(evaluation.utility, nan=-1.0))
        return 1 - utility + self.l1 * float(np.abs(point).mean())


def _row(point: NDArray[np.float64], places: list[int], pool: ExpertPool) -> NDArray[np.float64]:
    row = np.zeros(len(pool.experts))
    row[places] = point
    return row
