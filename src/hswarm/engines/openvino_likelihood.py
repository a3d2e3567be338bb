"""Log-probabilities of given replies by the exported model itself, with an adapter's factors as inputs.

GenAI gives log-probabilities of what it generates alone: with `echo` it gives those of the prompt too, but wrong ones
as soon as its prefix cache has a block of it (2026.4). So this is a second compiled model, made when first asked for:
each linear layer that experts change has two more products, y = W x + B (s A x), whose factors are inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

from hswarm.experts.adapter import Adapter
from hswarm.experts.weight_change import LowRank, weight_changes

_END = np.iinfo(np.int64).max


class LikelihoodModel:
    """The model in `folder`, with room for adapters on `linears` (module -> [out, in])."""

    def __init__(self, folder: Path, linears: Mapping[str, Sequence[int]], precision: str) -> None:
        model = ov.Core().read_model(folder / "openvino_model.xml")
        products = {node.get_friendly_name(): node for node in model.get_ops() if node.get_type_name() == "MatMul"}
        _keep_last(model)
        for module, (rows, columns) in linears.items():
            _put_beside(model, products[f"__module.{module}/aten::linear/MatMul"], module, rows, columns)
        model.validate_nodes_and_infer_types()
        options = {"INFERENCE_PRECISION_HINT": precision, "KV_CACHE_PRECISION": precision}
        self._request = ov.Core().compile_model(model, "CPU", options).create_infer_request()
        self._linears, self._present = dict(linears), ""

    @property
    def modules(self) -> frozenset[str]:
        """The linear layers with room for adapters."""
        return frozenset(self._linears)

    def put(self, expert: Adapter) -> None:
        """The adapter `expert`, LoRA on `modules` alone, in place of any other."""
        if expert.digest == self._present:
            return
        changes = {name: change for name, change in weight_changes(expert).items() if isinstance(change, LowRank)}
        for module, (rows, columns) in self._linears.items():
            change = changes.get(f"{module}.weight")
            down = change.down * np.float32(change.scaling) if change else np.zeros((1, columns), np.float32)
            up = change.up if change else np.zeros((rows, 1), np.float32)
            self._request.set_tensor(f"{module}.down", ov.Tensor(np.ascontiguousarray(down)))
            self._request.set_tensor(f"{module}.up", ov.Tensor(np.ascontiguousarray(up)))
        self._present = expert.digest

    def of_endings(self, prompt: list[int], endings: Sequence[Sequence[int]]) -> list[float]:
        """The log-probability, in nats, of each of `endings` after `prompt`, which is read once."""
        self._request.reset_state()
        (first,) = self._logs([prompt], np.ones((1, len(prompt)), np.int64), 1)
        logs = [float(first[0, ending[0]]) for ending in endings]
        if (longest := max(map(len, endings))) > 1:
            rows = [[*ending[:-1], *[0] * (longest - len(ending))] for ending in endings]
            mask = np.ones((len(rows), len(prompt) + longest - 1), np.int64)
            for row, ending in zip(mask, endings, strict=True):
                row[len(prompt) + len(ending) - 1 :] = 0
            for i, (found, ending) in enumerate(zip(self._logs(rows, mask, longest - 1), endings, strict=True)):
                logs[i] += sum(float(found[k, token]) for k, token in enumerate(ending[1:]))
        return logs

    def _logs(self, ids: Sequence[Sequence[int]], mask: NDArray[np.int64], kept: int) -> NDArray[np.float32]:
        """Log-probabilities (rows, kept, vocabulary) of the tokens after the last `kept` of `ids`."""
        length = len(ids[0])
        places = np.arange(mask.shape[1] - length, mask.shape[1])[None].repeat(len(ids), 0)
        inputs = {
            "input_ids": np.array(ids, np.int64),
            "attention_mask": mask,
            "position_ids": places,
            "beam_idx": np.zeros(len(ids), np.int32),  # every row goes on from the first row before
            "kept": np.array([-kept], np.int64),
        }
        logits: NDArray[np.float32] = self._request.infer(inputs)["logits"].astype(np.float32)
        logits -= logits.max(-1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        return logits


def _keep_last(model: ov.Model) -> None:
    """Logits of the last tokens alone; how many, as a negative number, is the new input `kept`."""
    head = model.output("logits").get_node().input_value(0).get_node()
    kept = _input(model, "kept", [1], ov.Type.i64)
    (end, step, axis) = (op.constant(np.array([number], np.int64)) for number in (_END, 1, 1))
    head.input(0).replace_source_output(op.slice(head.input_value(0), kept, end, step, axis).output(0))


def _put_beside(model: ov.Model, product: ov.Node, module: str, rows: int, columns: int) -> None:
    """Add an adapter's products to the output of `product`, the linear layer `module`."""
    readers = product.output(0).get_target_inputs()
    down, up = _input(model, f"{module}.down", [-1, columns]), _input(model, f"{module}.up", [rows, -1])
    low = op.matmul(op.matmul(product.input_value(0), down, False, True), up, False, True)
    whole = op.add(product.output(0), low).output(0)
    for reader in readers:
        reader.replace_source_output(whole)


def _input(model: ov.Model, name: str, shape: list[int], kind: ov.Type = ov.Type.f32) -> ov.Node:
    made = op.parameter(ov.PartialShape(shape), kind, name=name)
    made.output(0).get_tensor().add_names({name})
    model.add_parameters([made])
    return made
