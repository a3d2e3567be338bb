"""Tiny adapters on disk, made without torch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

KEY = "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.weight"


def config(**changes: Any) -> Any:
    """The content of an adapter_config.json."""
    plain = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q_proj"],
        "bias": "none",
        "base_model_name_or_path": "tiny/base",
        "task_type": "CAUSAL_LM",
    }
    return plain | changes


def tensors(seed: int = 0, rank: int = 2, layers: int = 2, wide: int = 6) -> dict[str, Any]:
    """Factors A (rank, wide) and B (wide, rank) of each layer."""
    rng = np.random.default_rng(seed)
    shapes = {"A": (rank, wide), "B": (wide, rank)}
    return {
        KEY.format(layer, factor): rng.normal(size=shape).astype(np.float32)
        for layer in range(layers)
        for factor, shape in shapes.items()
    }


def adapter(folder: Path, weights: Any = None, **changes: Any) -> Path:
    """An adapter in `folder`; keywords change its config."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(config(**changes)))
    save_file(tensors() if weights is None else weights, folder / "adapter_model.safetensors", {"format": "pt"})
    return folder
