"""An exported base with the weights of its linear layers as bytes, for processors without bfloat16.

A row of weights becomes unsigned bytes with a scale and a zero point. Where a processor has VNNI, OpenVINO rounds what
they are multiplied with to bytes too, in groups of 32 (its "dynamic quantisation"). Adapters stay in float32.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as op

from hswarm.experts.base import convert_once


def in_bytes(source: Path) -> Path:
    """The model in `source` (see `exported`) with weights of 8 bits, made once and kept beside it."""

    def convert(scratch: Path) -> None:
        model = ov.Core().read_model(source / "openvino_model.xml")
        for node in model.get_ops():
            weights = node.input_value(1).get_node() if node.get_type_name() == "MatMul" else None
            if weights is not None and weights.get_type_name() == "Constant":
                node.input(1).replace_source_output(_rounded(weights.get_data().astype(np.float32)))
        model.validate_nodes_and_infer_types()
        ov.save_model(model, scratch / "openvino_model.xml", compress_to_fp16=False)
        for file in source.glob("*.json"):
            shutil.copy(file, scratch)

    return convert_once(source.with_name(f"{source.name}-int8"), "shape.json", convert)


def _rounded(values: np.ndarray) -> ov.Output:
    """Weights of shape (out, in) as bytes, and what turns them back."""
    low, high = np.minimum(values.min(1, keepdims=True), 0), np.maximum(values.max(1, keepdims=True), 0)
    scale = np.maximum((high - low) / 255, np.finfo(np.float32).tiny)
    zero = np.round(-low / scale)
    held = op.convert(op.constant(np.clip(np.round(values / scale) + zero, 0, 255).astype(np.uint8)), "f32")
    centred = op.subtract(held, op.convert(op.constant(zero.astype(np.uint8)), "f32"))
    return op.multiply(centred, op.constant(scale)).output(0)
