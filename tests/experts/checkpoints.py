"""Tiny whole models on disk, made without torch: the tensors of a model in one file or in shards."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

CONFIG = {"model_type": "llama", "hidden_size": 6, "torch_dtype": "float32", "_name_or_path": "here"}
TOKENIZER = {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}, "added_tokens": []}


def weights(seed: int = 0, layers: int = 2, wide: int = 6, dtype: Any = np.float32) -> dict[str, Any]:
    """Tensors of a made-up model."""
    rng = np.random.default_rng(seed)
    return {
        f"model.layers.{layer}.{part}.weight": rng.normal(size=(wide, wide)).astype(dtype)
        for layer in range(layers)
        for part in ("q", "o")
    } | {"model.norm.weight": rng.normal(size=wide).astype(dtype)}


def checkpoint(folder: Path, tensors: Any = None, shards: int = 1, tokenizer: Any = None, **config: Any) -> Path:
    """A model in `folder`; keywords change its config."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = weights() if tensors is None else tensors
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer or TOKENIZER))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return folder
    names = list(tensors)
    places: dict[str, str] = {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        save_file({name: tensors[name] for name in names[i::shards]}, folder / file, {"format": "pt"})
        places |= dict.fromkeys(names[i::shards], file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder
