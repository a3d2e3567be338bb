"""`engine.name = "auto"`, and the engine vllm where it is not installed."""

from importlib.util import find_spec

import pytest

from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings
from hswarm.engines.select import fastest
from hswarm.errors import MissingExtra

ALL = {"openvino_genai", "vllm"}


@pytest.mark.parametrize(
    ("device", "dtype", "installed", "name"),
    [
        ("cuda", "auto", ALL, "vllm"),
        ("cuda", "float16", ALL, "vllm"),
        ("cuda", "auto", {"openvino_genai"}, "transformers"),
        ("cpu", "auto", ALL, "openvino"),
        ("cpu", "float16", ALL, "transformers"),
        ("cpu", "auto", {"vllm"}, "transformers"),
        ("mps", "auto", ALL, "transformers"),
        ("cuda:1", "auto", ALL, "transformers"),  # vLLM takes the GPUs that it sees
    ],
)
def test_auto_takes_the_fastest_installed(device, dtype, installed, name):
    assert fastest(EngineSettings("auto", dtype=dtype), device, installed) == name


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
def test_vllm_says_what_it_needs(root):
    with pytest.raises(MissingExtra, match=r"pip install 'hswarm\[vllm\]'"):
        open_engine(EngineSettings("vllm"), str(root / "experts/micro/base"))
