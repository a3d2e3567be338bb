"""The exported model with paged attention: rows of any length together, each with its own blocks of keys and values.

Each linear layer that experts change has two more products, y = W x + U (m * D x): the factors D and U of all experts
of a run stand below each other, and the mask m leaves each token those of its own expert.

What a token's row comes to does not depend on the rows beside it, nor on how many tokens before it were there already
where `is_exact`. Two things are needed for that, since the plugin has other kernels for single tokens: a prompt's
tokens come by two at least, and new ones of at least two rows at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op
from openvino._offline_transformations import paged_attention_transformation

from hswarm.experts.adapter import Adapter
from hswarm.experts.weight_change import LowRank, weight_changes

LEAST = 2  # tokens of a prompt that are computed at once: a single one goes through the kernel of new tokens
_STEP = 1024  # tokens computed at once: more is no faster and takes gigabytes for what layers hold meanwhile
_CACHES = ("key_cache.", "value_cache.")


class Row(NamedTuple):
    """`tokens` to compute after the first `past` ones, whose keys and values are in `blocks`, which have room for all.

    `kept`: of how many of the last ones logits are wanted; `expert`: its place among those put.
    """

    tokens: Sequence[int]
    past: int
    blocks: Sequence[int]
    kept: int = 1
    expert: int = 0


class PagedModel:
    """The model in `folder` with keys and values of `tokens`, and adapters on `linears` (module -> [out, in])."""

    def __init__(self, folder: Path, linears: Mapping[str, Sequence[int]], precision: str, tokens: int) -> None:
        model = ov.Core().read_model(folder / "openvino_model.xml")
        products = {node.get_friendly_name(): node for node in model.get_ops() if node.get_type_name() == "MatMul"}
        head = model.output("logits").get_node().input_value(0).get_node()
        mask, kept = _input(model, "mask", [-1, 1, -1]), _input(model, "kept", [-1], ov.Type.i64)
        head.input(0).replace_source_output(_rows(head.input_value(0), kept))
        for module, (rows, columns) in linears.items():
            product = products[f"__module.{module}/aten::linear/MatMul"]
            at_end = product.get_friendly_name() == head.get_friendly_name()
            own = _rows(mask.output(0), kept) if at_end else mask.output(0)
            _put_beside(model, product, module, rows, columns, own)
        model.validate_nodes_and_infer_types()
        paged_attention_transformation(model)
        options = {"INFERENCE_PRECISION_HINT": precision, "KV_CACHE_PRECISION": precision}
        compiled = ov.Core().compile_model(model, "CPU", options)
        self._request, self._linears = compiled.create_infer_request(), dict(linears)
        self._present: tuple[str, ...] = ()
        self._ranks = [1]
        self._caches: list[NDArray[np.unsignedinteger]] = []
        for port in compiled.inputs:
            if port.any_name.startswith(_CACHES):
                _, heads, self.block, size = (part.max_length for part in port.partial_shape)
                self.blocks = tokens // self.block
                shape = (self.blocks + 1, heads, self.block, size)  # one more for the row that is added to a single one
                held = np.zeros(shape, f"u{port.element_type.size}")  # where it is not touched it takes no memory
                self._request.set_tensor(port, ov.Tensor(held, ov.Shape(shape), port.element_type))
                self._caches.append(held)

    @property
    def modules(self) -> frozenset[str]:
        """The linear layers with room for adapters."""
        return frozenset(self._linears)

    def put(self, experts: Sequence[Adapter]) -> None:
        """Rows have these adapters, LoRA on `modules` alone, in place of any others."""
        if self._present == (digests := tuple(expert.digest for expert in experts)):
            return
        changes = [weight_changes(expert) for expert in experts]
        self._ranks = [
            max((len(change.down) for change in each.values() if isinstance(change, LowRank)), default=1)
            for each in changes
        ]
        ends = np.cumsum([0, *self._ranks])
        for module, (rows, columns) in self._linears.items():
            down, up = np.zeros((ends[-1], columns), np.float32), np.zeros((rows, ends[-1]), np.float32)
            for start, each in zip(ends, changes, strict=False):
                if isinstance(change := each.get(f"{module}.weight"), LowRank):
                    end = start + len(change.down)
                    down[start:end], up[:, start:end] = change.down * np.float32(change.scaling), change.up
            self._request.set_tensor(f"{module}.down", ov.Tensor(down))
            self._request.set_tensor(f"{module}.up", ov.Tensor(up))
        self._present = digests

    def copy(self, source: int, target: int) -> None:
        """Keys and values of one block into another."""
        for cache in self._caches:
            cache[target] = cache[source]

    def run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Logits (the rows' `kept` together, vocabulary), row by row; keys and values are written into the blocks."""
        made = [self._infer(step) for step in _steps(rows)]
        return np.concatenate(made) if len(made) > 1 else made[0]

    def _infer(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        if len(rows) == len(rows[0].tokens) == 1:
            rows = [*rows, Row([0], 1, [self.blocks], 0)]
        lengths = np.array([len(row.tokens) for row in rows])
        needed = [row.blocks[: -(-(row.past + len(row.tokens)) // self.block)] for row in rows]
        ends = np.cumsum(lengths)
        kept = np.concatenate([np.arange(end - row.kept, end) for end, row in zip(ends, rows, strict=True)])
        own = np.repeat(np.eye(len(self._ranks), dtype=np.float32), self._ranks, axis=1)
        inputs = {
            "input_ids": np.concatenate([np.asarray(row.tokens, np.int64) for row in rows]),
            "position_ids": np.concatenate([np.arange(row.past, row.past + len(row.tokens)) for row in rows]),
            "past_lens": np.array([row.past for row in rows], np.int32),
            "subsequence_begins": np.array([0, *ends], np.int32),
            "block_indices": np.concatenate([np.asarray(blocks, np.int32) for blocks in needed]),
            "block_indices_begins": np.cumsum([0, *map(len, needed)], dtype=np.int32),
            "max_context_len": np.array(max(row.past + len(row.tokens) for row in rows), np.int32),
            "kept": kept if len(kept) else np.zeros(1, np.int64),
            "mask": np.repeat(own[[row.expert for row in rows]], lengths, axis=0)[:, None],
        }
        logits: NDArray[np.float32] = self._request.infer(inputs)["logits"]
        return logits[: len(kept), 0].astype(np.float32)


def is_exact(model: PagedModel) -> bool:
    """Whether rows of `model` are the same bit for bit alone and in a crowd, in one piece and in two.

    Adapters are put; it writes into the first blocks.
    """
    ids, others = list(range(3, 43)), [list(range(5, 5 + length)) for length in (2, 33, 20)]
    rooms = [range(k, k + 2) for k in range(0, 2 * len(others) + 2, 2)]
    crowd = [Row(other, 0, room) for other, room in zip(others, rooms[1:], strict=True)]
    after = [Row([7], len(row.tokens), row.blocks) for row in crowd]
    first = model.run([Row(ids, 0, rooms[0])])[0], model.run([Row([7], 40, rooms[0])])[0]
    second = model.run([*crowd, Row(ids, 0, rooms[0])])[-1], model.run([*after, Row([7], 40, rooms[0])])[-1]
    model.run([Row(ids[:17], 0, rooms[0])])
    third = model.run([Row(ids[17:], 17, rooms[0])])[0], model.run([Row([7], 40, rooms[0])])[0]
    return all(np.array_equal(first, other) for other in (second, third))


def _steps(rows: Sequence[Row]) -> list[list[Row]]:
    """`rows` in pieces of about _STEP tokens together; a prompt's piece is never a single token."""
    steps: list[list[Row]] = [[]]
    room = _STEP
    for row in rows:
        while len(row.tokens) > max(room, 1) + 1 and not row.kept > 1:
            if room > 1:
                steps[-1].append(row._replace(tokens=row.tokens[:room], kept=0))
                row = row._replace(tokens=row.tokens[room:], past=row.past + room)
            steps.append([])
            room = _STEP
        steps[-1].append(row)
        room -= len(row.tokens)
    return steps


def _rows(source: ov.Output, places: ov.Node) -> ov.Output:
    """Those of the rows of `source` that `places` names: of the last layer no others are wanted."""
    return op.gather(source, places, op.constant(0)).output(0)


def _put_beside(model: ov.Model, product: ov.Node, module: str, rows: int, columns: int, mask: ov.Output) -> None:
    """Add the adapters' products to the output of `product`, the linear layer `module`."""
    readers = product.output(0).get_target_inputs()
    down, up = _input(model, f"{module}.down", [-1, columns]), _input(model, f"{module}.up", [rows, -1])
    low = op.multiply(op.matmul(product.input_value(0), down, False, True), mask)
    whole = op.add(product.output(0), op.matmul(low, up, False, True)).output(0)
    for reader in readers:
        reader.replace_source_output(whole)


def _input(model: ov.Model, name: str, shape: list[int], kind: ov.Type = ov.Type.f32) -> ov.Node:
    made = op.parameter(ov.PartialShape(shape), kind, name=name)
    made.output(0).get_tensor().add_names({name})
    model.add_parameters([made])
    return made
