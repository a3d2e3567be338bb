"""What adapters must share to be added: their config, and the names and shapes of their tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hswarm.experts.peft_format import Config, Kind, Part, part_of, rank_of, scaling_of

Vector = NDArray[np.float32]

# Entries of adapter_config.json that change what an adapter computes.
_COMPUTING = ("peft_type", "r", "lora_alpha", "use_rslora", "target_modules", "rank_pattern", "alpha_pattern")
_COMPUTING_IF_SET = ("use_dora", "trainable_token_indices")  # only if set, so that older digests stay valid


@dataclass(frozen=True, eq=False)
class AdapterForm:
    """The common form of a pool's adapters: the config, and names and shapes of the tensors in sorted order."""

    config: Config
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
