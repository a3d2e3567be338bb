"""A base as an OpenVINO model, converted once and kept in the user's cache.

Torch traces one forward pass with the key-value cache as inputs and outputs; OpenVINO then turns these into state, with
`beam_idx`, by which its transformation to paged attention finds them.
"""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hswarm.engines.chat import digest_of
from hswarm.errors import EngineError, MissingExtra
from hswarm.experts.base import cache_folder, convert_once, load_model

if TYPE_CHECKING:
    import openvino as ov
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel

# OpenVINO's converter reports its use to an analytics service, unless this package is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

_FORMAT = 2
_TOLERANCE = 2e-3  # of logits in float32; a wrong mask or position is off by more than one


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def exported(folder: Path, say: Callable[[str], None] = _say) -> Path:
    """The OpenVINO model of the base in `folder`; EngineError if its logits differ from the base's."""
    target = cache_folder() / f"{folder.name}-openvino{_FORMAT}-{digest_of(folder)}"

    def convert(scratch: Path) -> None:
        say(f"converting {folder.name} for OpenVINO into {target} (once, about a minute)")
        _convert(folder, scratch)

    return convert_once(target, "shape.json", convert)


def _convert(folder: Path, target: Path) -> None:
    try:
        import openvino as ov
        import torch
    except ImportError as missing:
        raise MissingExtra("engine 'openvino'", "cpu") from missing
    source = load_model(folder, str(folder), torch.float32, attn_implementation="sdpa")
    names = [f"{i}.{part}" for i in range(source.config.num_hidden_layers) for part in ("key", "value")]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns about Python conditions that are constant here
        example = _example(source)
        model = ov.convert_model(_step(source), example_input=example)
    _name(model, names, example[3].shape)
    _make_stateful(model, names)
    for operation in model.get_ops():  # adapters are matched by the names of the base's own modules
        name = operation.get_friendly_name()
        if name.startswith("__module.source."):
            operation.set_friendly_name("__module." + name.removeprefix("__module.source."))
    _compare(
        ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}),
        source,
        folder,
    )
    ov.save_model(model, target / "openvino_model.xml", compress_to_fp16=False)
    for name in ("config.json", "generation_config.json"):
        if (folder / name).is_file():
            shutil.copy(folder / name, target)
    linears = {
        name: list(module.weight.shape) for name, module in source.named_modules() if type(module).__name__ == "Linear"
    }
    cache_values = sum(np.prod(tensor.shape[1::2]) for tensor in example[3:])
    shape = {"linears": linears, "cache_values": int(cache_values)}
    (target / "shape.json").write_text(json.dumps(shape))


def _step(source: PreTrainedModel) -> torch.nn.Module:
    """One forward pass of `source` as a function of tensors alone."""
    import torch
    from transformers import DynamicCache

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.source = source

        def forward(self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, *past: Tensor) -> object:
            cache = DynamicCache(config=source.config)
            for i, layer in enumerate(cache.layers):
                layer.keys, layer.values = past[2 * i], past[2 * i + 1]
                layer.dtype, layer.device, layer.is_initialized = past[0].dtype, past[0].device, True
            places = torch.arange(attention_mask.shape[1])
            own = places[attention_mask.shape[1] - input_ids.shape[1] :]
            seen = (places[None, :] <= own[:, None])[None, None] & (attention_mask[:, None, None, :] > 0)
            output = source(
                input_ids=input_ids,
                attention_mask=seen,
                position_ids=position_ids,
                past_key_values=cache,
                use_cache=True,
            )
            state = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
            return output.logits, *state

    return Step()


def _example(source: PreTrainedModel) -> tuple[Tensor, ...]:
    """Inputs to trace with: two rows of four tokens after three of the past."""
    import torch

    config = source.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    past = [torch.zeros(2, config.num_key_value_heads, 3, size) for _ in range(2 * config.num_hidden_layers)]
    places = torch.arange(3, 7)[None].expand(2, -1)
    return torch.ones(2, 4, dtype=torch.long), torch.ones(2, 7, dtype=torch.long), places, *past


def _name(model: ov.Model, names: list[str], shape: ov.PartialShape) -> None:
    """The names and open shapes that OpenVINO expects of inputs and outputs."""
    import openvino as ov

    inputs = ["input_ids", "attention_mask", "position_ids", *(f"past_key_values.{name}" for name in names)]
    for port, name in zip(model.inputs, inputs, strict=True):
        past = name.startswith("past")
        port.get_tensor().set_names({name})
        port.get_node().set_friendly_name(name)
        port.get_node().set_partial_shape(ov.PartialShape([-1, shape[1], -1, shape[3]] if past else [-1, -1]))
        port.get_node().set_element_type(ov.Type.f32 if past else ov.Type.i64)
    for port, name in zip(model.outputs, ["logits", *(f"present.{name}" for name in names)], strict=True):
        port.get_tensor().set_names({name})
    model.validate_nodes_and_infer_types()


def _make_stateful(model: ov.Model, names: list[str]) -> None:
    """The key-value cache as state that starts empty, its rows picked by `beam_idx`."""
    import openvino as ov
    from openvino import opset13 as op
    from openvino._offline_transformations import apply_make_stateful_transformation

    rows = op.parameter(ov.PartialShape([-1]), ov.Type.i32, name="beam_idx")
    rows.output(0).get_tensor().add_names({"beam_idx"})
    model.add_parameters([rows])
    for name in names:
        past = model.input(f"past_key_values.{name}").get_node().output(0)
        readers = past.get_target_inputs()
        picked = op.gather(past, rows, op.constant(0)).output(0)
        for reader in readers:
            reader.replace_source_output(picked)
    model.validate_nodes_and_infer_types()
    apply_make_stateful_transformation(model, {f"past_key_values.{name}": f"present.{name}" for name in names})
    ids = model.input("input_ids").get_node()
    batch = op.gather(op.shape_of(ids, output_type="i64"), op.constant([0]), op.constant(0))
    for operation in model.get_ops():
        if operation.get_type_name() == "ReadValue":
            shape = operation.get_output_partial_shape(0)
            sizes = [batch, *(op.constant([size]) for size in (shape[1].get_length(), 0, shape[3].get_length()))]
            operation.set_arguments([op.broadcast(op.constant(np.float32(0)), op.concat(sizes, 0)).output(0)])
    model.validate_nodes_and_infer_types()


def _compare(compiled: ov.CompiledModel, source: PreTrainedModel, folder: Path) -> None:
    """EngineError unless logits agree, with the cache used."""
    import torch

    ids = np.random.default_rng(0).integers(0, source.config.vocab_size, (1, 12))
    request = compiled.create_infer_request()
    for start, end in ((0, 7), (7, 12)):
        result = request.infer(
            {
                "input_ids": ids[:, start:end],
                "attention_mask": np.ones((1, end), np.int64),
                "position_ids": np.arange(start, end)[None],
                "beam_idx": np.zeros(1, np.int32),
            }
        )
    with torch.no_grad():
        expected = source(torch.from_numpy(ids)).logits[:, 7:].numpy()
    if (gap := float(np.abs(result["logits"] - expected).max())) > _TOLERANCE:
        raise EngineError(
            f"the logits of {folder.name} as an OpenVINO model are off by {gap:.3g} (allowed: "
            f"{_TOLERANCE}); such models need engine.name = 'transformers'"
        )
