"""Tensors in safetensors files, read and written piece by piece: no more than a piece is ever in memory.

numpy has no bfloat16: its bits are the upper half of a float32's, so pieces are kept as the integers that are stored
and widened to float32 for arithmetic.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from hswarm.errors import PoolError

Array = NDArray[Any]

PIECE = 1 << 20  # elements
KINDS: dict[str, np.dtype[Any]] = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(np.uint16),
}
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


class Stored(NamedTuple):
    """Where a tensor lies: `kind` is safetensors' name of its number format, `start` its first byte in `file`."""

    file: Path
    kind: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def starts(self) -> range:
        """The first element of each piece."""
        return range(0, self.size, PIECE)

    def piece(self, start: int) -> Array:
        """At most PIECE elements from `start` on, as stored (BF16 as uint16)."""
        count, dtype = min(PIECE, self.size - start), KINDS[self.kind]
        piece = np.fromfile(self.file, dtype, count, offset=self.start + start * dtype.itemsize)
        if len(piece) < count:
            raise PoolError(f"{self.file} is cut short; copy or download it again")
        return piece

    def pieces(self) -> Iterator[Array]:
        """All elements in order, a piece at a time."""
        return map(self.piece, self.starts())

    def whole(self) -> Array:
        """All elements in the tensor's shape."""
        return np.concatenate([*self.pieces()] or [np.zeros(0, KINDS[self.kind])]).reshape(self.shape)


def widen(piece: Array, kind: str) -> NDArray[np.float32]:
    """Float32 values of a stored piece."""
    if kind == "BF16":
        piece = (piece.astype(np.uint32) << 16).view(np.float32)
    return piece.astype(np.float32, copy=False)


def narrow(values: NDArray[np.float32], kind: str) -> Array:
    """`values` as they are stored, rounded to the nearest, ties to even."""
    if kind == "BF16":
        bits: Array = np.where(np.isnan(values), np.uint32(0x7FC00000), values.view(np.uint32))
        stored: Array = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
        return stored
    with np.errstate(over="ignore"):
        return values.astype(KINDS[kind])


def infinite(piece: Array, kind: str) -> int:
    """How many elements of a stored piece are NaN or infinite."""
    return int(np.count_nonzero(~np.isfinite(widen(piece, kind) if kind == "BF16" else piece)))


def tensors_in(folder: Path) -> dict[str, Stored]:
    """Every tensor of the model in `folder`, by name: of one file, or of the shards that the index lists.

    PoolError: a file that is missing, damaged, or cut short; a tensor in no or in two shards; integers.
    """
    if (folder / INDEX).is_file():
        listed = _read_index(folder / INDEX)
        files = sorted({folder / name for name in listed.values()})
    else:
        listed, files = {}, [folder / SINGLE]
    found: dict[str, Stored] = {}
    for file in files:
        for name, stored in _file(file).items():
            if name in found:
                raise PoolError(
                    f"{folder}: tensor {name!r} is in {found[name].file.name} and in {file.name}; "
                    "copy or download the folder again"
                )
            found[name] = stored
    if missing := sorted(set(listed) - set(found)):
        raise PoolError(
            f"{folder}: {len(missing)} tensors of {INDEX} are in no shard, the first {missing[0]!r}; "
            "copy or download it again"
        )
    return dict(sorted(found.items()))


def _read_index(path: Path) -> dict[str, str]:
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        names = {str(tensor): str(file) for tensor, file in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise PoolError(f"{path} cannot be read ({fault!r}); copy or download it again") from fault
    if odd := [name for name in names.values() if Path(name).name != name]:
        raise PoolError(f"{path} points outside its folder ({odd[0]!r}); copy or download it again")
    return names


def _file(path: Path) -> dict[str, Stored]:
    """The tensors of one file; its layout is checked by safetensors itself."""
    try:
        with safe_open(path, framework="np"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except FileNotFoundError as fault:
        raise PoolError(
            f"{path.parent} is not a whole checkpoint: {path.name} is missing; copy or download it again"
        ) from fault
    except (OSError, SafetensorError, ValueError, RecursionError) as fault:
        raise PoolError(f"{path} is damaged or cut short ({fault}); copy or download it again") from fault
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if entry["dtype"] not in KINDS:
            raise PoolError(
                f"{path}: tensor {name!r} is {entry['dtype']}, expected F32, F16 or BF16; "
                "take a checkpoint that is not quantised"
            )
    return {
        name: Stored(path, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
    }


def write_header(file: IO[bytes], tensors: Mapping[str, Stored]) -> None:
    """The head of a safetensors file that will hold `tensors` in their order; their bytes follow it."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, stored in tensors.items():
        end = start + stored.size * KINDS[stored.kind].itemsize
        header[name] = {"dtype": stored.kind, "shape": list(stored.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)


def sync(file: IO[bytes]) -> None:
    """Put what was written on disk."""
    file.flush()
    os.fsync(file.fileno())
