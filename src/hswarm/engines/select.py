"""`engine.name = "auto"`: the fastest engine that is installed for this machine."""

from __future__ import annotations

from importlib.util import find_spec

from hswarm.engines.base import Engine, EngineSettings


def fastest_engine(settings: EngineSettings, base: str) -> Engine:
    """vLLM on CUDA and OpenVINO on a CPU where they are installed, else transformers."""
    device = settings.device if settings.device != "auto" else _device()
    name = fastest(settings, device, {package for package in ("openvino_genai", "vllm") if find_spec(package)})
    if name == "vllm":
        from hswarm.engines.vllm import VLLMEngine

        return VLLMEngine(settings, base)
    if name == "openvino":
        from hswarm.engines.openvino import OpenVINOEngine

        return OpenVINOEngine(settings, base)
    from hswarm.engines.transformers import TransformersEngine

    return TransformersEngine(settings, base)


def fastest(settings: EngineSettings, device: str, installed: set[str]) -> str:
    """The name of the engine for `device` ("cpu", "cuda", "mps", ...) among those whose packages are `installed`."""
    if device == "cuda" and "vllm" in installed:
        return "vllm"
    if device == "cpu" and settings.dtype != "float16" and "openvino_genai" in installed:
        return "openvino"
    return "transformers"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
