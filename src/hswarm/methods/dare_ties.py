"""DARE-TIES (arXiv 2311.03099, 2306.01708): sparse updates that agree in sign.

The definition of PEFT's `dare_ties_svd`: of each update s B A every entry is dropped with probability 1 - density and
the rest divided by density; an entry's sign is that of the sum; weighted entries of that sign are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le
from numpy.typing import NDArray

from hswarm.errors import PoolError
from hswarm.experts.adapter import Adapter
from hswarm.experts.blend import factors, union_form
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.methods.common import group
from hswarm.options import check_ranges
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System

Array = NDArray[np.floating]


@method("dare_ties", "Sparse updates that agree in sign, merged into one expert", paper="arXiv 2311.03099, 2306.01708")
@dataclass(frozen=True)
class DareTies:
    """`density` is the share of entries kept, `weight` that of each expert, `rank` 0 the sum of the experts' ranks."""

    density: Annotated[float, Gt(0), Le(1)] = 0.5
    weight: float = 1.0
    rank: int = 0

    def __post_init__(self) -> None:
        check_ranges(self)

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        adapters = [expert for i in group(pool) if isinstance(expert := pool.experts[i], Adapter)]
        if not adapters:
            raise PoolError("dare_ties merges adapters, the pool holds whole checkpoints; leave it out (--methods)")
        return evaluator.alone(self.merge(adapters, rng))

    def merge(self, experts: list[Adapter], rng: np.random.Generator) -> Adapter:
        """The merged expert; bare vectors are merged as they are."""
        first, weights = experts[0], np.full(len(experts), self.weight)
        if first.form is None:
            merged = merge_updates(np.stack([expert.vector for expert in experts]), weights, self.density, rng)
            return first.with_weights(merged, "dare-ties")
        rank = self.rank or sum(expert.form.rank for expert in experts if expert.form)
        form, parts = union_form(experts, rank), [factors(expert) for expert in experts]
        tensors = {}
        for module in sorted({module for part in parts for module in part}):
            updates = [part[module][1] @ part[module][0] for part in parts if module in part]
            merged = merge_updates(np.stack(updates), weights[: len(updates)], self.density, rng)
            down, up = _factorise(merged, rank)
            tensors[f"base_model.model.{module}.lora_A.weight"] = down
            tensors[f"base_model.model.{module}.lora_B.weight"] = up
        return Adapter.from_vector("dare-ties", form.flatten(tensors), form, first.base)


def merge_updates(updates: Array, weights: Array, density: float, rng: np.random.Generator) -> Array:
    """DARE, then TIES, of updates of shape (experts, ...)."""
    kept = updates * (rng.random(updates.shape) < density) / density
    weighted = kept * weights.reshape(-1, *[1] * (updates.ndim - 1))
    sign = np.where(kept.sum(axis=0) >= 0, 1, -1)  # as in PEFT, weights do not vote
    agreeing = np.sign(kept) == sign
    merged = (weighted * agreeing).sum(axis=0) / np.maximum(agreeing.sum(axis=0), 1)
    return np.asarray(merged)


def _factorise(update: Array, rank: int) -> tuple[Array, Array]:
    """(A, B) of `rank` whose product is nearest to `update`, shape (out, in)."""
    left, values, right = np.linalg.svd(update, full_matrices=False)
    free = max(0, rank - len(values))
    root = np.sqrt(values[:rank])
    down, up = root[:, None] * right[:rank], left[:, :rank] * root
    return np.pad(down, ((0, free), (0, 0))).astype(np.float32), np.pad(up, ((0, 0), (0, free))).astype(np.float32)
