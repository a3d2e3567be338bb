"""A LoRA adapter on disk, exactly as PEFT has it, and as one flat float32 vector. Knows nothing of torch.

`adapter_config.json` + `adapter_model.safetensors`; pickles are never opened.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from hswarm.errors import PoolError

Vector = NDArray[np.float32]

_KEY = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<factor>[AB])\.weight$")
# Entries of adapter_config.json that change what an adapter computes.
_COMPUTING = ("peft_type", "r", "lora_alpha", "use_rslora", "target_modules", "rank_pattern", "alpha_pattern")
# Entries that must be off: the update would be more than scaling * B A.
_REFUSED = (
    "use_dora",
    "fan_in_fan_out",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "lora_bias",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "use_qalora",
    "use_bdlora",
)
_LEAVE = "leave it out (pool.experts)"


@dataclass(frozen=True, eq=False)
class AdapterForm:
    """What the adapters of a pool share: the config, and names and shapes of the tensors in sorted order."""

    config: Mapping[str, Any]
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    @property
    def scaling(self) -> float:
        """The factor before B A: alpha / r, or alpha / sqrt(r) (rslora)."""
        rank = self.config["r"]
        return float(self.config["lora_alpha"] / (rank**0.5 if self.config.get("use_rslora") else rank))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that two adapters must share to be combined."""
        config = {key: self.config.get(key) for key in _COMPUTING}
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
        """The vector, shape (size,), that `tensors` turns back."""
        return np.concatenate([np.asarray(tensors[name], dtype=np.float32).ravel() for name in self.names])


@dataclass(frozen=True, eq=False)
class Expert:
    """A named adapter; a whole model is the sub-class Checkpoint. Make it with `Expert.of` or `Expert.read`.

    `form` is None for the toy engine's bare vectors and for checkpoints. `base` names the model that an engine loads
    for it: an adapter's base, or the folder of a checkpoint.
    """

    name: str
    vector: Vector
    form: AdapterForm | None
    digest: str
    base: str = ""

    @classmethod
    def of(cls, name: str, vector: Vector, form: AdapterForm | None, base: str = "") -> Expert:
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

    def moved(self, vector: Vector, name: str | None = None) -> Expert:
        """The same expert with other weights, copied from `vector`, and another name if one is given."""
        return Expert.of(name or self.name, np.array(vector, dtype=np.float32), self.form, self.base)

    def named(self, name: str) -> Expert:
        """The same expert by another name."""
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
        return Expert.of(self.name, written, self.form).digest

    @classmethod
    def read(cls, folder: str | Path) -> Expert:
        """The expert in `folder`, named after it. PoolError says what is wrong with it."""
        folder = Path(folder)
        name = folder.name
        config = _read_config(folder)
        tensors = _read_tensors(folder)
        names = tuple(sorted(tensors))
        form = AdapterForm(config, names, tuple(tensors[key].shape for key in names))
        _check_tensors(name, config, tensors)
        return Expert.of(name, form.flatten(tensors), form, str(config.get("base_model_name_or_path") or ""))


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "adapter_config.json"
    if not path.is_file():
        raise PoolError(f"{folder} is not a PEFT adapter: adapter_config.json is missing; remove it or {_LEAVE}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise PoolError(f"{path} cannot be read as JSON ({fault}); copy or download it again") from fault
    name = folder.name
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else type(config).__name__
        raise PoolError(f"expert '{name}': expected a LoRA adapter (peft_type LORA), got {kind}; {_LEAVE}")
    for key in ("r", "lora_alpha"):
        value = config.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 2**31:
            raise PoolError(f"expert '{name}': {key} must be a positive number, got {str(value)[:40]}; {_LEAVE}")
    for key in _REFUSED:
        if config.get(key):
            raise PoolError(f"expert '{name}': {key} is set; only plain LoRA can be combined; {_LEAVE}")
    if config.get("bias", "none") != "none":
        raise PoolError(f"expert '{name}': bias is {config['bias']!r}; only bias 'none' can be combined; {_LEAVE}")
    return config


def _read_tensors(folder: Path) -> dict[str, Vector]:
    """All tensors as float32. The file's layout is checked by safetensors itself."""
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        if (folder / "adapter_model.bin").exists():
            raise PoolError(
                f"{folder} holds a pickle (adapter_model.bin), which can run code; "
                "convert it to adapter_model.safetensors with PEFT"
            )
        raise PoolError(
            f"{folder} is not a whole PEFT adapter: adapter_model.safetensors is missing; copy or download it again"
        )
    try:
        entries = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
        return {name: _array(name, entry) for name, entry in entries}
    except (OSError, SafetensorError, ValueError, KeyError) as fault:
        raise PoolError(f"{path} is damaged or cut short ({fault}); copy or download it again") from fault


def _array(name: str, entry: Mapping[str, Any]) -> Vector:
    """numpy has no bfloat16: its bits are the upper half of a float32's."""
    kind, shape, data = entry["dtype"], entry["shape"], entry["data"]
    if kind == "BF16":
        wide = np.frombuffer(data, dtype=np.uint16).astype(np.uint32) << 16
        return wide.view(np.float32).reshape(shape)
    kinds = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
    if kind not in kinds:
        raise ValueError(f"tensor {name} is {kind}, expected F32, F16 or BF16")
    with np.errstate(all="ignore"):  # what does not fit becomes infinite, and is refused as such
        return np.frombuffer(data, dtype=kinds[kind]).astype(np.float32).reshape(shape)


def _check_tensors(name: str, config: Mapping[str, Any], tensors: Mapping[str, Vector]) -> None:
    """Every tensor is a factor of a pair of the rank that the config says."""
    if not tensors:
        raise PoolError(f"expert '{name}' has no tensors; copy or download it again")
    for key, array in sorted(tensors.items()):
        found = _KEY.match(key)
        if found is None:
            raise PoolError(f"expert '{name}': tensor {key!r} is not a LoRA factor of a linear layer; {_LEAVE}")
        if not _targeted(found["module"], config):
            raise PoolError(f"expert '{name}': {key!r} is outside target_modules, so PEFT would not load it; {_LEAVE}")
        partner = key.replace(".lora_A.", ".lora_B.") if found["factor"] == "A" else key.replace(".lora_B.", ".lora_A.")
        if partner not in tensors:
            raise PoolError(f"expert '{name}': {key!r} has no partner {partner!r}; copy or download it again")
        rank = array.shape[0 if found["factor"] == "A" else 1] if array.ndim == 2 else None
        if rank != config["r"]:
            raise PoolError(f"expert '{name}': {key!r} has shape {array.shape}, not of rank {config['r']}; {_LEAVE}")
        if not np.isfinite(array).all():
            raise PoolError(f"expert '{name}': {key!r} holds NaN or infinite weights; train or download it again")


def _targeted(module: str, config: Mapping[str, Any]) -> bool:
    """Whether PEFT would put an adapter at `module`: by target_modules, exclude_modules and layers_to_transform."""
    if _named(module, config.get("exclude_modules")):
        return False
    layers, wanted = re.findall(r"\.(\d+)\.", module), config.get("layers_to_transform")
    if wanted is not None and (not layers or int(layers[0]) not in (wanted if isinstance(wanted, list) else [wanted])):
        return False
    modules = config.get("target_modules")
    return modules in (None, "all-linear") or _named(module, modules)


def _named(module: str, modules: Any) -> bool:
    """PEFT's rule: a text is a regular expression for the whole name, a list holds names or ends of names."""
    if isinstance(modules, str):
        try:
            return re.fullmatch(modules, module) is not None
        except re.error:
            return False
    return isinstance(modules, list) and any(f".{module}".endswith(f".{end}") for end in modules)
