"""A LoRA adapter on disk, exactly as PEFT stores it, and as one flat float32 vector. Knows nothing of torch.

The file format is in peft_format.py.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from hswarm.errors import PoolError
from hswarm.experts.peft_format import Kind, Part, base_of, part_of, rank_of, read_adapter, scaling_of

Vector = NDArray[np.float32]

# Entries of adapter_config.json that change what an adapter computes.
_COMPUTING = ("peft_type", "r", "lora_alpha", "use_rslora", "target_modules", "rank_pattern", "alpha_pattern")
_COMPUTING_IF_SET = ("use_dora", "trainable_token_indices")  # only if set, so that older digests stay valid


@dataclass(frozen=True, eq=False)
class AdapterForm:
    """The common form of a pool's adapters: the config, and names and shapes of the tensors in sorted order."""

    config: Mapping[str, Any]
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    @cached_property
    def parts(self) -> dict[str, Part]:
        """The part that each tensor is, by its name."""
        return {name: part for name in self.names if (part := part_of(name))}

    @cached_property
    def kinds(self) -> frozenset[Kind]:
        """The ways in which the adapter changes its base; engines differ in which they support (docs/adapters.md)."""
        return frozenset(part.kind for part in self.parts.values())

    @cached_property
    def rank(self) -> int:
        """The largest rank of a pair of factors."""
        return max((rank_of(self.config, part.module) for part in self.parts.values() if part.factor), default=0)

    @property
    def patterned(self) -> bool:
        """Whether ranks or scalings differ from module to module."""
        return bool(self.config.get("rank_pattern") or self.config.get("alpha_pattern"))

    def scaling(self, module: str) -> float:
        """The factor before the B A of `module`: alpha / r, or alpha / sqrt(r) (rsLoRA)."""
        return scaling_of(self.config, module)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that two adapters must share to be combined."""
        config = {key: self.config.get(key) for key in _COMPUTING}
        config |= {key: self.config[key] for key in _COMPUTING_IF_SET if self.config.get(key)}
        modules = config["target_modules"]
        config["target_modules"] = sorted(modules) if isinstance(modules, list) else modules
        return hashlib.sha256(json.dumps([config, self.names, self.shapes], sort_keys=True).encode()).hexdigest()

    def tensors(self, vector: Vector) -> dict[str, Vector]:
        """Views of `vector`, shape (size,), by tensor name."""
        found, start = {}, 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            end = start + int(np.prod(shape))
            found[name], start = vector[start:end].reshape(shape), end
        return found

    def flatten(self, tensors: Mapping[str, Vector]) -> Vector:
        """The vector, shape (size,): the inverse of `tensors`."""
        return np.concatenate([np.asarray(tensors[name], dtype=np.float32).ravel() for name in self.names])


@dataclass(frozen=True, eq=False)
class Expert:
    """A named adapter; a whole model is the sub-class Checkpoint. Make it with `Expert.from_vector` or `Expert.read`.

    `form` is None for the toy engine's bare vectors and for checkpoints. `base` names the model that an engine loads
    for it: an adapter's base, or the folder of a checkpoint.
    """

    name: str
    vector: Vector
    form: AdapterForm | None
    digest: str
    base: str = ""

    @classmethod
    def from_vector(cls, name: str, vector: Vector, form: AdapterForm | None, base: str = "") -> Expert:
        """An expert of a float32 `vector`, shape (parameters,), which is made read-only.

        PoolError if it holds NaN or infinity, or is not as long as `form` says.
        """
        vector = np.ascontiguousarray(vector, dtype=np.float32)
        if form is not None and vector.shape != (form.size,):
            raise PoolError(f"expert '{name}': expected {form.size} weights in a row, got shape {vector.shape}")
        if not np.isfinite(vector).all():
            raise PoolError(f"expert '{name}': {np.count_nonzero(~np.isfinite(vector))} weights are not finite numbers")
        vector.flags.writeable = False
        whole = hashlib.sha256((form.digest if form else "vector").encode())
        whole.update(vector.data)
        return Expert(name, vector, form, whole.hexdigest(), base)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.vector.size

    def with_weights(self, vector: Vector, name: str | None = None) -> Expert:
        """The same expert with other weights, copied from `vector`, and another name if one is given."""
        return Expert.from_vector(name or self.name, np.array(vector, dtype=np.float32), self.form, self.base)

    def renamed(self, name: str) -> Expert:
        """The same expert under another name."""
        return Expert(name, self.vector, self.form, self.digest, self.base)

    def with_base(self, base: str) -> Expert:
        """The same expert for `base`."""
        return Expert(self.name, self.vector, self.form, self.digest, base)

    def write(self, folder: Path, dtype: Literal["float32", "float16"] = "float32") -> str:
        """Write PEFT's two files to `folder`, each atomically; returns the digest of what was written.

        PoolError if a weight does not fit `dtype`.
        """
        if self.form is None:
            raise PoolError(f"expert '{self.name}' is a bare vector, not an adapter; only adapters can be written")
        if (largest := float(np.abs(self.vector).max(initial=0))) > float(np.finfo(dtype).max):
            raise PoolError(f"expert '{self.name}': a weight of {largest:g} does not fit {dtype}; write float32")
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: array.astype(dtype) for name, array in self.form.tensors(self.vector).items()}
        config = json.dumps(dict(self.form.config), indent=2, sort_keys=True) + "\n"
        for name, content in (
            ("adapter_model.safetensors", save(tensors, {"format": "pt"})),
            ("adapter_config.json", config.encode()),
        ):
            new = folder / f"{name}.new"
            new.write_bytes(content)
            os.replace(new, folder / name)
        written = self.vector.astype(dtype).astype(np.float32)
        return Expert.from_vector(self.name, written, self.form).digest

    @classmethod
    def read(cls, folder: str | Path) -> Expert:
        """The expert in `folder`, named after it. PoolError says what is wrong with it."""
        folder = Path(folder)
        config, tensors = read_adapter(folder)
        names = tuple(sorted(tensors))
        form = AdapterForm(config, names, tuple(tensors[key].shape for key in names))
        return Expert.from_vector(folder.name, form.flatten(tensors), form, base_of(config))
