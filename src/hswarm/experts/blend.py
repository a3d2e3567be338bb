"""Weighted sums of adapters, in either of two spaces.

"factors" adds A and B separately, as the paper's code does: this is cheapest, but it is not the sum of the
updates, for (w1 B1 + w2 B2)(w1 A1 + w2 A2) has products across experts. "delta" adds the updates s B A themselves and
reduces the sum to a chosen rank by the best approximation (SVD); rank, alpha and target modules may then differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hswarm.errors import PoolError
from hswarm.experts.adapter import Adapter
from hswarm.experts.form import AdapterForm, Vector
from hswarm.experts.peft_format import Kind

SUMMABLE: frozenset[Kind] = frozenset(("LoRA", "LoRA on lm_head"))  # in space "delta"
_STRETCH = 2**16  # numbers, so that they and the sum so far fit in a processor's cache


def blend_factors(experts: Sequence[Adapter], weights: Sequence[float], name: str) -> Adapter:
    """The weighted sum of vectors of one form (or of bare vectors), a stretch at a time."""
    total, scratch = np.zeros_like(experts[0].vector), np.empty(_STRETCH, np.float32)
    terms = [(expert.vector, np.float32(weight)) for expert, weight in zip(experts, weights, strict=True) if weight]
    for start in range(0, total.size, _STRETCH):
        part = slice(start, start + _STRETCH)
        for vector, weight in terms:
            total[part] += np.multiply(vector[part], weight, out=scratch[: total[part].size])
    return Adapter.from_vector(name, total, experts[0].form, experts[0].base)


def blend_updates(experts: Sequence[Adapter], weights: Sequence[float], name: str, rank: int) -> Adapter:
    """The weighted sum of the updates s B A, as an adapter of `rank` over every module that any expert changes.

    Never forms an update: with all factors side by side, B (out, R) and A (R, in), the singular values of B A are those
    of the R x R core between two QR decompositions. PoolError if two experts give one module different sizes.
    """
    form = union_form(experts, rank)
    parts = [(factors(expert), weight) for expert, weight in zip(experts, weights, strict=True) if weight]
    made: dict[str, Vector] = {}
    for down_name, up_name, (wide, tall) in _pairs(form):
        module = module_of(down_name)
        found = [(part[module], weight) for part, weight in parts if module in part]
        down = np.concatenate([np.zeros((0, wide)), *(a for (a, _), _ in found)])
        up = np.concatenate([np.zeros((tall, 0)), *(weight * b for (_, b), weight in found)], axis=1)
        made[down_name], made[up_name] = _truncated(down, up, rank)
    return Adapter.from_vector(name, form.flatten(made), form, experts[0].base)


def factors(expert: Adapter) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Module -> (A of shape (r, in), s B of shape (out, r)), whose product s B A is the update.

    PoolError for an adapter that changes its base in other ways too.
    """
    if expert.form is None:
        raise PoolError(f"expert '{expert.name}' is not an adapter; it has no factors")
    check_summable(expert)
    tensors = expert.form.tensors(expert.vector)
    return {
        module_of(name): (
            tensors[name].astype(np.float64),
            expert.form.scaling(module_of(name)) * tensors[name.replace(".lora_A.", ".lora_B.")].astype(np.float64),
        )
        for name in tensors
        if ".lora_A." in name
    }


def check_summable(expert: Adapter) -> None:
    """PoolError unless `expert` changes its base only by adding s B A to linear layers."""
    assert expert.form is not None
    if more := sorted(expert.form.kinds - SUMMABLE):
        raise PoolError(
            f"expert '{expert.name}' holds {' and '.join(more)}, which is not an update that can be added to others'; "
            "set pool.space = 'factors', or leave it out (pool.experts)"
        )


def plain(expert: Adapter) -> Adapter:
    """The same expert with one rank and a scaling of 1 for all modules; itself if it has no patterns."""
    if expert.form is None or not expert.form.patterned:
        return expert
    return blend_updates([expert], [1.0], expert.name, expert.form.rank)


def module_of(name: str) -> str:
    """The module that a factor's tensor belongs to."""
    return name.removeprefix("base_model.model.").split(".lora_")[0]


def module_sizes(form: AdapterForm) -> dict[str, tuple[int, int]]:
    """Module -> (in, out) of the linear layer that it changes."""
    return {module_of(down): size for down, _, size in _pairs(form)}


def union_form(experts: Sequence[Adapter], rank: int) -> AdapterForm:
    """The form of adapters of `rank` over every module that any of `experts` changes; its scaling is 1."""
    sizes: dict[str, tuple[int, int]] = {}
    for expert in experts:
        assert expert.form is not None
        for module, size in module_sizes(expert.form).items():
            if sizes.setdefault(module, size) != size:
                raise PoolError(
                    f"expert '{expert.name}': {module} has size {size}, "
                    f"others have {sizes[module]}; it belongs to another base"
                )
    names = {}
    for module, (wide, tall) in sizes.items():
        names[f"base_model.model.{module}.lora_A.weight"] = (rank, wide)
        names[f"base_model.model.{module}.lora_B.weight"] = (tall, rank)
    first = experts[0].form
    assert first is not None
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": first.config.get("task_type"),
        "r": rank,
        "lora_alpha": rank,
        "target_modules": sorted(sizes),
        "bias": "none",
        "lora_dropout": 0.0,
        "inference_mode": True,
        "base_model_name_or_path": first.config.get("base_model_name_or_path"),
    }
    ordered = tuple(sorted(names))
    return AdapterForm(config, ordered, tuple(names[name] for name in ordered))


def _pairs(form: AdapterForm) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Names of A and B, and (in, out), of each module."""
    shapes = dict(zip(form.names, form.shapes, strict=True))
    for name in form.names:
        if ".lora_A." in name:
            partner = name.replace(".lora_A.", ".lora_B.")
            yield name, partner, (shapes[name][1], shapes[partner][0])


def _truncated(down: NDArray[np.float64], up: NDArray[np.float64], rank: int) -> tuple[Vector, Vector]:
    """(A, B) of `rank` whose product is nearest to up @ down; singular values are shared evenly between them."""
    if down.shape[0] > rank:
        up_basis, up_core = np.linalg.qr(up)
        down_basis, down_core = np.linalg.qr(down.T)
        left, values, right = np.linalg.svd(up_core @ down_core.T)
        count = min(rank, len(values))
        root = np.sqrt(values[:count])
        up = up_basis @ left[:, :count] * root
        down = (root[:, None] * right[:count]) @ down_basis.T
    free = rank - down.shape[0]
    return (np.pad(down, ((0, free), (0, 0))).astype(np.float32), np.pad(up, ((0, 0), (0, free))).astype(np.float32))
