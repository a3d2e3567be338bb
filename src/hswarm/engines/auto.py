"""`engine.name = "auto"`: the fastest engine that is installed for this machine."""

from __future__ import annotations

from importlib.util import find_spec

from hswarm.engines.base import Engine, EngineSettings


def fastest_engine(settings: EngineSettings, base: str) -> Engine:
    """OpenVINO on a CPU where it is installed, else transformers."""
    if settings.dtype != "float16" and find_spec("openvino_genai") and _on_cpu(settings.device):
        from hswarm.engines.openvino import OpenVINOEngine

        return OpenVINOEngine(settings, base)
    from hswarm.engines.transformers import TransformersEngine

    return TransformersEngine(settings, base)


def _on_cpu(device: str) -> bool:
    if device != "auto":
        return device == "cpu"
    import torch

    return not torch.cuda.is_available() and not torch.backends.mps.is_available()
