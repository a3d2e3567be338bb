"""Data merge: one expert trained on the union of all the pool's data.

It is either there already (`path`) or trained now by a training recipe with one expert, the union's (`recipe`, as for
`hswarm experts train`). Training is not part of the search's cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hswarm.errors import ConfigError
from hswarm.experts.expert import Expert
from hswarm.experts.pool import ExpertPool, read_expert
from hswarm.methods.base import method
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


@method("data_merge", "One expert trained on the union of all the pool's data", paper="arXiv 2502.04510")
@dataclass(frozen=True)
class DataMerge:
    """One of the two must be set; relative paths count from the recipe's folder."""

    path: str = ""
    recipe: str = ""

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        if bool(self.path) == bool(self.recipe):
            raise ConfigError(
                [
                    "method data_merge needs an expert trained on the union of the pool's data: set one of "
                    "methods.data_merge.path (its folder) and .recipe (for its training)"
                ]
            )
        folder = Path(self.path) if self.path else _train(Path(self.recipe))
        return evaluator.alone(_read(folder, pool.base))


def _train(recipe: Path) -> Path:
    from hswarm.training.train import read_train_recipe, train_pool

    names = [expert.name for expert in read_train_recipe(recipe).experts]
    if len(names) != 1:
        raise ConfigError([f"{recipe}: data_merge trains one expert on all data, got {len(names)}: {', '.join(names)}"])
    return train_pool(recipe) / names[0]


def _read(folder: Path, base: str) -> Expert:
    expert = read_expert(folder)
    return expert.with_base(base) if expert.form else expert
