"""`engine.name = "auto"`, devices that are not there, engines that are not installed, and an engine in one file."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from hswarm.cli.main import main
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, engine
from hswarm.engines.select import fastest, fitting
from hswarm.errors import MissingExtra, PoolError
from hswarm.experts.adapter import Adapter
from hswarm.experts.pool import read_expert
from hswarm.experts.remote import RemoteExpert, RemoteSettings
from tests.engines.tiny import llama
from tests.experts.adapters import adapter, tensors
from tests.experts.checkpoints import checkpoint

ALL = {"openvino", "vllm"}
PAGE = Path(__file__).parents[2] / "docs/adding-an-engine.md"


@pytest.mark.parametrize(
    ("device", "dtype", "installed", "name"),
    [
        ("cuda", "auto", ALL, "vllm"),
        ("cuda", "float16", ALL, "vllm"),
        ("cuda", "auto", {"openvino"}, "transformers"),
        ("cpu", "auto", ALL, "openvino"),
        ("cpu", "float16", ALL, "transformers"),
        ("cpu", "auto", {"vllm"}, "transformers"),
        ("mps", "auto", ALL, "transformers"),
        ("cuda:1", "auto", ALL, "transformers"),  # vLLM takes the GPUs that it sees
    ],
)
def test_auto_takes_the_fastest_installed(
    device: str, dtype: Literal["auto", "float16"], installed: set[str], name: str
) -> None:
    assert fastest(EngineSettings("auto", dtype=dtype), device, installed) == name


def test_auto_takes_an_engine_that_takes_the_pool(tmp_path: Path) -> None:
    plain = Adapter.read(adapter(tmp_path / "plain"))
    magnitudes = {
        f"base_model.model.model.layers.{i}.self_attn.q_proj.lora_magnitude_vector": np.ones(6, np.float32)
        for i in (0, 1)
    }
    dora = Adapter.read(adapter(tmp_path / "dora", tensors() | magnitudes, use_dora=True))
    whole = read_expert(checkpoint(tmp_path / "whole", {"w": np.zeros((2, 2), np.float32)}))
    auto = EngineSettings("auto")
    assert fitting(auto, [plain, plain]).name == "auto"
    assert fitting(auto, [plain, dora]).name == "transformers"
    assert fitting(auto, [whole]).name == "transformers"
    assert fitting(EngineSettings("openvino"), [plain]).name == "openvino"  # a name that is given stays
    assert fitting(EngineSettings("transformers"), [dora, whole]).name == "transformers"
    far = RemoteExpert(RemoteSettings("far", "m", "http://localhost:1/v1"))
    assert fitting(auto, [plain, far]).name == "auto"
    assert fitting(EngineSettings("openvino"), [plain, far]).name == "openvino"


@pytest.mark.parametrize("name", ["openvino", "vllm"])
def test_an_engine_that_does_not_take_the_pool_says_so_before_it_opens_a_base(name: str, tmp_path: Path) -> None:
    """OpenVINO would convert the base first, about a minute; vLLM would say that it is not installed."""
    whole = read_expert(checkpoint(tmp_path / "whole", {"w": np.zeros((2, 2), np.float32)}))
    with pytest.raises(PoolError, match=f"'whole' is not a LoRA adapter, and engine '{name}' supports nothing else"):
        open_engine(EngineSettings(name), "nobody/nothing", [whole])


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
def test_vllm_says_what_it_needs(root: Path) -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'hswarm\[vllm\]'"):
        open_engine(EngineSettings("vllm"), str(root / "experts/micro/base"))


def test_auto_without_torch_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from hswarm.engines import open_engine\nfrom hswarm.engines.base import EngineSettings\n"
        "open_engine(EngineSettings('auto'), 'nobody/nothing')"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "engine 'auto' needs an optional dependency: pip install 'hswarm[cpu]'" in made.stderr


@pytest.mark.model
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("engine.device=cuda", "engine.device = 'cuda' is not on this machine"),
        ("engine.device=cuda:97", "engine.device = 'cuda:97' is not on this machine"),
        ("engine.device=mps", "engine.device = 'mps' is not on this machine, 'cpu' is; set engine.device = 'auto'"),
        ("engine.devices=[0,99]", "engine.devices: no device 99; there"),
    ],
)
def test_a_device_that_is_not_there_is_one_line(
    setting: str, message: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is a GPU here")
    recipe = str(root / "recipes/micro.toml")
    words = ["search", recipe, "--run", str(tmp_path / "run"), "--set", setting, "--set", "engine.name=transformers"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1


def damaged(base: Path, file: str, change: dict[str, object] | bytes) -> Path:
    path = base / file
    path.write_bytes(
        change if isinstance(change, bytes) else json.dumps(json.loads(path.read_text()) | change).encode()
    )
    return base


@pytest.mark.model
@pytest.mark.parametrize("name", ["transformers", "openvino"])
@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("tokenizer.json", b'{"version"', "JSONDecodeError"),
        ("tokenizer.json", b"{}", "cannot be opened"),
        ("tokenizer_config.json", b"[]", "cannot be opened"),
        ("chat_template.jinja", b"\xff\xfe{{", "UnicodeDecodeError"),
        ("config.json", {"model_type": "nosuch"}, "does not recognize this architecture"),
        ("config.json", {"hidden_size": 63}, "cannot be opened"),
        (
            "config.json",
            {"num_hidden_layers": 3},
            "has no model.layers.2.input_layernorm.weight .9 weights of its config",
        ),
        ("generation_config.json", b'{"eos', "cannot be opened .JSONDecodeError"),
        ("generation_config.json", {"eos_token_id": ["x"]}, "eos_token_id must be whole numbers, got 'x'"),
        ("model.safetensors", b"\x80\x04", "SafetensorError"),
    ],
)
def test_a_damaged_base_is_one_line(
    name: str, file: str, change: dict[str, object] | bytes, told: str, tmp_path: Path
) -> None:
    if name == "openvino":
        pytest.importorskip("openvino_genai")
    with pytest.raises(PoolError, match=told) as fault:
        open_engine(EngineSettings(name), str(damaged(llama(tmp_path / "base", 0), file, change)))
    assert "\n" not in str(fault.value)
    assert str(tmp_path / "base") in str(fault.value)


def test_every_engine_is_declared_where_it_is_defined(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(engine.parts) == {"auto", "openai", "openvino", "toy", "transformers", "vllm"}
    assert engine.parts["vllm"].extras == ("vllm",)
    assert main(["list", "engines"]) == 0
    assert "openvino" in capsys.readouterr().out
