"""`engine.name = "auto"`: the fastest installed engine that supports this machine and the pool."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from hswarm.engines.base import Engine, EngineSettings, engine
from hswarm.errors import MissingExtra, PoolError
from hswarm.experts.compatibility import check_kinds
from hswarm.experts.expert import Expert

_FAST = {"vllm": "vllm", "openvino": "openvino"}  # engines that support plain LoRA only, and their packages

_GPUS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", "/dev/nvhost-ctrl-gpu")  # Linux: NVIDIA, in WSL, AMD, Jetson


@engine("auto", "The fastest installed engine that supports this machine and the pool")
def fastest_engine(settings: EngineSettings, base: str) -> Engine:
    """vLLM on CUDA and OpenVINO on a CPU where they are installed, else transformers."""
    device = settings.device if settings.device != "auto" else fastest_device()
    name = fastest(settings, device, {name for name, package in _FAST.items() if find_spec(package)})
    made: Engine = engine.get(name)(settings, base)
    return made


def fastest(settings: EngineSettings, device: str, installed: Collection[str]) -> str:
    """The name of the engine for `device` ("cpu", "cuda", "mps", ...), given the `installed` fast ones."""
    if device == "cuda" and "vllm" in installed:
        return "vllm"
    if device == "cpu" and settings.dtype != "float16" and "openvino" in installed:
        return "openvino"
    return "transformers"


def fitting(settings: EngineSettings, experts: Sequence[Expert]) -> EngineSettings:
    """`settings`, with "auto" replaced by "transformers" if only that engine supports all `experts`.

    Otherwise the device decides, which workers on other machines detect themselves. PoolError if the engine named
    does not support an expert: before a base is loaded or converted for it.
    """
    local = [expert for expert in experts if expert.has_weights]
    try:
        check_kinds(local, settings.name if settings.name != "auto" else "vllm" if find_spec("vllm") else "openvino")
    except PoolError:
        if settings.name != "auto":
            raise
        return replace(settings, name="transformers")
    return settings


def fastest_device() -> str:
    """ "cuda" or "mps" where torch sees one, else "cpu". MissingExtra without torch."""
    if not find_spec("torch"):
        raise MissingExtra("engine 'auto'", "cpu")
    if sys.platform == "linux" and not any(Path(file).exists() for file in _GPUS):
        return "cpu"  # to ask torch takes seconds
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
