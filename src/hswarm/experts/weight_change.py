"""How an adapter changes each weight of its base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hswarm.errors import PoolError
from hswarm.experts.adapter import Adapter
from hswarm.experts.form import Vector
from hswarm.experts.peft_format import token_indices


@dataclass(frozen=True, eq=False)
class LowRank:
    """W + scaling up down: `down` of shape (r, columns), `up` of shape (rows, r).

    With a `magnitude` (DoRA, arXiv 2402.09353, equation 5) each row of the sum is rescaled to this norm, shape
    (rows,); each column, shape (columns,), if W holds embeddings.
    """

    down: Vector
    up: Vector
    scaling: float
    magnitude: Vector | None = None
    embeddings: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.up), self.down.shape[1]

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a weight of `shape` can be changed this way."""
        return shape == self.shape


@dataclass(frozen=True, eq=False)
class Replaced:
    """Other values in place of W."""

    values: Vector

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def fits(self, shape: tuple[int, ...]) -> bool:
        return shape == self.shape


@dataclass(frozen=True, eq=False)
class ReplacedRows:
    """Other values, shape (rows, columns), in the rows of W with these `indices`: trained tokens."""

    indices: list[int]
    values: Vector

    @property
    def shape(self) -> tuple[int, ...]:
        return max(self.indices) + 1, *self.values.shape[1:]

    def fits(self, shape: tuple[int, ...]) -> bool:
        return shape[0] >= self.shape[0] and shape[1:] == self.shape[1:]


WeightChange = LowRank | Replaced | ReplacedRows


def weight_changes(expert: Adapter) -> dict[str, WeightChange]:
    """Name of a weight of the base -> its change, in copies of the adapter's float32 numbers."""
    if expert.form is None:
        raise PoolError(f"expert '{expert.name}' is not an adapter; it changes no base")
    tensors = {name: array.copy() for name, array in expert.form.tensors(expert.vector).items()}
    changes: dict[str, WeightChange] = {}
    for name, part in expert.form.parts.items():
        weight = f"{part.module}.weight"
        change: WeightChange | None = None
        if part.factor == "A":
            change = _low_rank(tensors, name, expert.form.scaling(part.module))
        elif part.kind == "trained tokens":
            change = ReplacedRows(token_indices(expert.form.config, part.module), tensors[name])
        elif part.kind in ("bias", "modules_to_save"):
            weight, change = f"{part.module}.{name.rsplit('.', 1)[1]}", Replaced(tensors[name])
        if change and weight in changes:
            raise PoolError(f"expert '{expert.name}' changes {weight} in two ways at once; leave it out (pool.experts)")
        if change:
            changes[weight] = change
    return changes


def _low_rank(tensors: Mapping[str, Vector], name: str, scaling: float) -> LowRank:
    magnitude = tensors.get(f"{name.split('.lora_')[0]}.lora_magnitude_vector")
    if name.endswith(".lora_embedding_A"):  # PEFT holds the transpose of an embedding's update
        up, down = tensors[name].T, tensors[name.replace("_A", "_B")].T
        return LowRank(down, up, scaling, magnitude, embeddings=True)
    return LowRank(tensors[name], tensors[name.replace(".lora_A.", ".lora_B.")], scaling, magnitude)
