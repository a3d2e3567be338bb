"""PEFT's files, `adapter_config.json` and `adapter_model.safetensors`, read as PEFT itself reads them.

A file is either fully understood or refused, naming the unsupported part (docs/adapters.md). Knows nothing of torch;
pickles are never opened. The format is PEFT's, https://huggingface.co/docs/peft/developer_guides/checkpoint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from hswarm.errors import PoolError
from hswarm.patterns import compiled, fullmatch, match

Config = Mapping[str, Any]  # of adapter_config.json
Array = NDArray[np.float32]
Kind = Literal["LoRA", "LoRA on lm_head", "LoRA on embeddings", "DoRA", "trained tokens", "bias", "modules_to_save"]

PREFIX = "base_model.model."
_PARTS: tuple[tuple[str, str], ...] = (  # suffix of a tensor's name, and its kind
    (r"\.lora_(?P<factor>[AB])\.weight", "LoRA"),
    (r"\.lora_embedding_(?P<factor>[AB])", "LoRA on embeddings"),
    (r"\.lora_magnitude_vector", "DoRA"),
    (r"\.token_adapter\.trainable_tokens_delta", "trained tokens"),
    (r"(?:\.base_layer)?\.bias", "bias"),
    (r"\.weight", "modules_to_save"),
)
# Wrappers of training libraries and of models with a vision part, which leave the text model's modules as they are.
_WRAPPERS = re.compile(r"\b(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|language_model)\.")
_ADAPTER_NAME = re.compile(
    r"(\.lora_[AB]|\.lora_embedding_[AB]|\.lora_magnitude_vector|\.trainable_tokens_delta)\.(?!weight$|bias$)[^.]+"
)
# Frozen weights of the base, which PEFT puts beside LoRA on embeddings, and what VeLoRA needs to train.
_UNUSED = (".base_layer.weight", ".lora_velora_embed")
_SAVED = re.compile(r"\.modules_to_save(?:\.[^.]+)?(?=\.(?:weight|bias)$)")

# Entries of adapter_config.json that do not change what a trained adapter computes.
_IDLE = {
    *("auto_mapping", "base_model_name_or_path", "revision", "peft_version", "task_type", "inference_mode"),
    *("lora_dropout", "megatron_config", "megatron_core", "runtime_config", "ensure_weight_tying", "eva_config"),
    *("corda_config", "lora_ga_config", "loftq_config", "velora_config", "qalora_group_size"),
}
# Entries that are read here or in AdapterForm.
_READ = {
    *("peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "use_dora", "bias"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save"),
    *("trainable_token_indices", "init_lora_weights"),
}
_METHODS = {  # entries that turn LoRA into another method, and that method's usual name
    "lora_bias": "a bias on lora_B",
    "fan_in_fan_out": "weights stored transposed (Conv1D)",
    "layer_replication": "replicated layers",
    "target_parameters": "LoRA on bare parameters (experts of a mixture)",
    "alora_invocation_tokens": "activated LoRA",
    "arrow_config": "Arrow routing",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "use_qalora": "QALoRA",
    "use_bdlora": "block-diagonal LoRA",
}
_NOT_MERGEABLE = {  # prefixes to the prompt and changes to single tokens cannot be merged into weights
    *("PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING", "CPT", "CARTRIDGE", "ADAPTION_PROMPT"),
    *("XLORA", "POLY", "alora_invocation_tokens", "arrow_config"),
}
# Values of init_lora_weights with which PEFT subtracts the adapter's initial value from the base on loading.
_CHANGED_BASE = {"pissa": "PiSSA", "olora": "OLoRA", "corda": "CorDA", "loftq": "LoftQ", "lora_ga": "LoRA-GA"}
_KEPT_BASE = ("gaussian", "eva", "orthogonal", "mica")
_LEAVE = "leave it out (pool.experts)"


class AdapterFile(NamedTuple):
    """A config as PEFT writes it, and float32 tensors by the names that PEFT gives them."""

    config: dict[str, Any]
    tensors: dict[str, Array]


class Part(NamedTuple):
    """What a tensor is: part of the change of `module`; `factor` is "A" or "B" of a pair, else ""."""

    module: str
    kind: Kind
    factor: str


def read_adapter(folder: Path) -> AdapterFile:
    """The adapter in `folder`. PoolError names what is missing, damaged or not supported."""
    config, stored = _read_config(folder), _read_tensors(folder)
    tensors = _canonical(folder.name, stored)
    if any("language_model." in name for name in stored):  # the patterns match the whole model's names
        modules = {part.module for name in tensors if (part := part_of(name)) and part.factor}
        config |= {"target_modules": sorted(modules), "exclude_modules": None, "layers_to_transform": None}
    _check_tensors(folder.name, config, tensors)
    return AdapterFile(config, tensors)


def part_of(name: str) -> Part | None:
    """The part that the tensor `name` is; None for a name that no LoRA adapter has."""
    if not name.startswith(PREFIX):
        return None
    for pattern, kind in _PARTS:
        if found := re.search(f"{pattern}$", name):
            module = name[len(PREFIX) : found.start()]
            if kind == "LoRA" and module.split(".")[-1] == "lm_head":
                kind = "LoRA on lm_head"
            return Part(module, kind, found.groupdict().get("factor") or "")  # type: ignore[arg-type]
    return None


def rank_of(config: Config, module: str) -> int:
    """The rank of `module`'s factors."""
    return int(_by_pattern(config.get("rank_pattern"), module, config["r"]))


def scaling_of(config: Config, module: str) -> float:
    """The factor before `module`'s B A: alpha / r, or alpha / sqrt(r) (rsLoRA)."""
    rank, alpha = rank_of(config, module), _by_pattern(config.get("alpha_pattern"), module, config["lora_alpha"])
    return float(alpha / (rank**0.5 if config.get("use_rslora") else rank))


def base_of(config: Mapping[str, object]) -> str:
    """The base that an adapter names, pinned as "owner/name@revision" if it names a revision; "" if it names none."""
    base, revision = str(config.get("base_model_name_or_path") or ""), config.get("revision")
    pinned = base and isinstance(revision, str) and revision not in ("", "main") and not Path(base).is_dir()
    return f"{base}@{revision}" if pinned else base


def _by_pattern(patterns: Any, module: str, default: Any) -> Any:
    """PEFT's rule: the value of the first pattern that is the module's name or an end of it."""
    for pattern, value in (patterns or {}).items():
        if match(_end(pattern), module):
            return value
    return default


def _end(pattern: str) -> str:
    return rf"(.*\.)?({pattern})$"


def _read_config(folder: Path) -> dict[str, object]:
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
        remedy = (
            "turn it into LoRA with PEFT's save_as_lora, or merge it into its base with merge_and_unload where PEFT "
            f"can, or {_LEAVE}"
        )
        raise PoolError(
            f"expert '{name}': expected a LoRA adapter (peft_type LORA), got {kind}; "
            + (_LEAVE if kind in _NOT_MERGEABLE else remedy)
        )
    for key in ("r", "lora_alpha"):
        value = config.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 2**31:
            raise PoolError(f"expert '{name}': {key} must be a positive number, got {str(value)[:40]}; {_LEAVE}")
    _check_patterns(name, config)
    _check_method(name, config)
    return config


def _check_patterns(name: str, config: Mapping[str, object]) -> None:
    for key in ("rank_pattern", "alpha_pattern"):
        patterns = config.get(key) or {}
        fit = isinstance(patterns, dict) and all(
            _compiles(_end(pattern)) and type(value) in (int, float) and 0 < value < 2**31
            for pattern, value in patterns.items()
        )
        if not fit:
            raise PoolError(
                f"expert '{name}': {key} must give a positive number for each module, got {str(patterns)[:40]}; "
                f"copy or download it again, or {_LEAVE}"
            )


def _compiles(pattern: str) -> bool:
    try:
        compiled(pattern)
    except ValueError:
        return False
    return True


def _check_method(name: str, config: Mapping[str, object]) -> None:
    """PoolError if an entry makes the adapter compute something other than plain LoRA with its tensors."""
    start = config.get("init_lora_weights", True)
    method = next((word for key, word in _CHANGED_BASE.items() if str(start).lower().startswith(key)), "")
    if method:
        remedy = (
            "merge it into the quantised base it was trained on and take the whole checkpoint"
            if method == "LoftQ"
            else "save it as plain LoRA with PEFT (save_pretrained with path_initial_model_for_weight_conversion)"
        )
        raise PoolError(
            f"expert '{name}' was trained by {method} (init_lora_weights = '{start}'), which changes the base's "
            f"weights when PEFT loads it; {remedy}, or {_LEAVE}"
        )
    if not isinstance(start, bool | None) and start not in _KEPT_BASE:
        raise PoolError(f"expert '{name}': init_lora_weights = {str(start)[:40]!r} is not known to hswarm; {_LEAVE}")
    for key, value in config.items():
        if key in _METHODS and value:
            remedy = f"merge it into its base with PEFT's merge_and_unload and take the whole checkpoint, or {_LEAVE}"
            raise PoolError(
                f"expert '{name}' uses {_METHODS[key]} ({key} is set), which is not supported; "
                + (_LEAVE if key in _NOT_MERGEABLE else remedy)
            )
        if value and key not in _IDLE | _READ:
            raise PoolError(
                f"expert '{name}': {key} = {str(value)[:40]} in adapter_config.json is not known to hswarm; remove the "
                f"entry if replies do not depend on it, or {_LEAVE}"
            )
    if config.get("bias", "none") not in ("none", "all", "lora_only"):
        raise PoolError(f"expert '{name}': bias must be 'none', 'all' or 'lora_only', got {config['bias']!r}; {_LEAVE}")


def _read_tensors(folder: Path) -> dict[str, Array]:
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


def _array(name: str, entry: Mapping[str, Any]) -> Array:
    """numpy has no bfloat16: its bits are the upper half of a float32's."""
    kind, shape, data = entry["dtype"], entry["shape"], entry["data"]
    if kind == "BF16":
        wide = np.frombuffer(data, dtype=np.uint16).astype(np.uint32) << 16
        return wide.view(np.float32).reshape(shape)
    kinds = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
    if kind not in kinds:
        raise ValueError(f"tensor {name} is {kind}, expected F32, F16 or BF16")
    with np.errstate(all="ignore"):  # values out of range become infinite, which is refused later
        return np.frombuffer(data, dtype=kinds[kind]).astype(np.float32).reshape(shape)


def _canonical(name: str, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """`tensors` by the names that PEFT gives them, without what no reply depends on."""
    found: dict[str, Array] = {}
    for key, array in tensors.items():
        plain = canonical_name(key)
        if plain.endswith(_UNUSED):
            continue
        if plain in found:
            raise PoolError(f"expert '{name}' holds {plain!r} twice, also as {key!r}; save it with PEFT again")
        found[plain] = array
    return found


def canonical_name(key: str) -> str:
    """The name that PEFT would give to the tensor `key`: no wrappers' prefixes, no adapter's name."""
    plain = _SAVED.sub("", _ADAPTER_NAME.sub(r"\1", _WRAPPERS.sub("", key)))
    plain = plain.removesuffix(".weight") if plain.endswith(".lora_magnitude_vector.weight") else plain
    return plain if plain.startswith(PREFIX) else PREFIX + plain


def _check_tensors(name: str, config: Mapping[str, object], tensors: Mapping[str, Array]) -> None:
    """PoolError unless PEFT would load every tensor, with the shape that the config says."""
    if not tensors:
        raise PoolError(f"expert '{name}' has no tensors; copy or download it again")
    if stubs := [key for key, array in tensors.items() if array.size == 0]:
        raise PoolError(
            f"expert '{name}': {stubs[0]!r} has shape {tensors[stubs[0]].shape} ({len(stubs)} tensors are empty): it "
            "was saved from DeepSpeed ZeRO-3 or FSDP shards that had not been gathered; save it again under "
            "deepspeed.zero.GatheredParameters or FSDP's full state dict"
        )
    for key, array in sorted(tensors.items()):
        _check_tensor(name, config, tensors, key)
        if not np.isfinite(array).all():
            raise PoolError(f"expert '{name}': {key!r} holds NaN or infinite weights; train or download it again")


def _check_tensor(name: str, config: Mapping[str, object], tensors: Mapping[str, Array], key: str) -> None:
    part, shape = part_of(key), tensors[key].shape
    if part is None or not _announced(part, config):
        raise PoolError(f"expert '{name}': tensor {key!r} is not one of LoRA with this adapter_config.json; {_LEAVE}")
    if part.kind == "trained tokens" and shape[:1] != (len(token_indices(config, part.module)),):
        raise PoolError(
            f"expert '{name}': {key!r} has shape {shape}, trainable_token_indices names "
            f"{len(token_indices(config, part.module))} tokens; copy or download it again"
        )
    if not part.factor and part.kind != "DoRA":
        return
    if not _targeted(part.module, config):
        raise PoolError(f"expert '{name}': {key!r} is outside target_modules, so PEFT would not load it; {_LEAVE}")
    if not part.factor:
        return
    other = "B" if part.factor == "A" else "A"
    partner = re.sub(r"(\.lora_(?:embedding_)?)[AB]", rf"\g<1>{other}", key)
    magnitude = [f"{PREFIX}{part.module}.lora_magnitude_vector"] if config.get("use_dora") else []
    if missing := [one for one in (partner, *magnitude) if one not in tensors]:
        raise PoolError(f"expert '{name}': {key!r} has no partner {missing[0]!r}; copy or download it again")
    rank, expected = shape[0 if part.factor == "A" else 1] if len(shape) == 2 else None, rank_of(config, part.module)
    if rank != expected:
        raise PoolError(f"expert '{name}': {key!r} has shape {shape}, not of rank {expected}; {_LEAVE}")


def _announced(part: Part, config: Mapping[str, object]) -> bool:
    """Whether the config declares such a tensor; PEFT also saves embeddings whose size has changed."""
    if part.kind == "DoRA":
        return bool(config.get("use_dora"))
    if part.kind == "trained tokens":
        return bool(token_indices(config, part.module))
    if part.kind in ("bias", "modules_to_save") and _saved(part.module, config):
        return True
    if part.kind == "bias":
        return bool(config.get("bias", "none") != "none")
    return part.kind != "modules_to_save" or part.module.split(".")[-1] in ("embed_tokens", "lm_head")


def _saved(module: str, config: Mapping[str, object]) -> bool:
    """PEFT's rule: modules_to_save holds ends of names, of the module or of one that contains it."""
    ends, steps = config.get("modules_to_save"), module.split(".")
    outer = (".".join(steps[:i]) for i in range(1, len(steps) + 1))
    return isinstance(ends, list) and any(name.endswith(str(end)) for name in outer for end in ends)


def token_indices(config: Mapping[str, object], module: str) -> list[int]:
    """The rows of embeddings `module` that were trained as tokens of their own."""
    listed = config.get("trainable_token_indices") or []
    if isinstance(listed, dict):
        listed = next((rows for end, rows in listed.items() if _named(module, [end])), [])
    return [row for row in listed if type(row) is int] if isinstance(listed, list) else []


def _targeted(module: str, config: Config) -> bool:
    """Whether PEFT would put an adapter at `module`: by target_modules, exclude_modules and layers_to_transform."""
    if _named(module, config.get("exclude_modules")):
        return False
    if config.get("ensure_weight_tying") and module.split(".")[-1] in ("embed_tokens", "lm_head"):
        return True
    modules, layers = config.get("target_modules"), config.get("layers_to_transform")
    if isinstance(modules, list) and layers not in (None, []):
        patterns = config.get("layers_pattern") or [r"[^.]*"]
        patterns = [patterns] if isinstance(patterns, str) else patterns
        places = [rf"(?:^|.*?\.){p}\.(\d+)\." for p in patterns]
        found = next(filter(None, (match(place, module) for place in places if _compiles(place))), None)
        if not found or int(found[0] or 0) not in (layers if isinstance(layers, list) else [layers]):
            return False
    return modules in (None, "all-linear") or _named(module, modules)


def _named(module: str, modules: object) -> bool:
    """PEFT's rule: a text is a regular expression for the whole name, a list holds names or ends of names."""
    if isinstance(modules, str):
        try:
            return fullmatch(modules, module)
        except ValueError:
            return False
    return isinstance(modules, list) and any(f".{module}".endswith(f".{end}") for end in modules)
