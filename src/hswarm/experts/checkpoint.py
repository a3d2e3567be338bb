"""An expert that is a whole model: one or many safetensors files, never in memory as a whole.

A checkpoint is a weighted sum of model folders of one layout (of a single one when read). Its tensors are computed
one at a time, piece by piece, so memory holds one tensor, however many folders there are.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hswarm.errors import PoolError
from hswarm.experts import shards
from hswarm.experts.expert import Expert
from hswarm.experts.shards import Array, Stored

# Entries of config.json that say where a model came from, not what it computes.
_IDLE = ("_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype", "use_cache", "pad_token_id")
_BESIDE = (".json", ".jinja", ".model", ".txt")  # other files of a model's folder


@dataclass(frozen=True, eq=False)
class Layout:
    """What checkpoints must share to be combined: tensors' names, number formats and shapes, config, tokenizer."""

    tensors: tuple[tuple[str, str, tuple[int, ...]], ...]
    config: Mapping[str, Any]
    tokenizer: str
    template: str

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(int(np.prod(shape, dtype=np.int64)) for _, _, shape in self.tensors)

    @property
    def digest(self) -> str:
        """SHA-256 over all of it."""
        content = json.dumps([self.tensors, dict(self.config), self.tokenizer, self.template], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def difference(self, other: Layout) -> str:
        """The difference between this layout and `other`, in words; "" if they are equal."""
        mine, theirs = ({name: (kind, shape) for name, kind, shape in layout.tensors} for layout in (self, other))
        if odd := sorted(set(mine) ^ set(theirs)):
            return f"other tensors ({len(odd)} differ, the first {odd[0]!r})"
        for name, found in mine.items():
            if found != theirs[name]:
                return f"{name} is {found[0]} {found[1]}, expected {theirs[name][0]} {theirs[name][1]}"
        if self.tokenizer != other.tokenizer:
            return "another tokenizer"
        if self.template != other.template:
            return "another chat template"
        odd = sorted(key for key in {*self.config, *other.config} if self.config.get(key) != other.config.get(key))
        return f"config.json differs in {', '.join(odd)}" if odd else ""


@dataclass(frozen=True, eq=False)
class Folder:
    """A model on disk. `digest`: SHA-256 over layout and weights."""

    path: Path
    tensors: Mapping[str, Stored]
    digest: str


class Checkpoint(Expert):
    """A whole model: the sum of `parts`, each a weight and a folder. Make it with `Checkpoint.read` and `blend`."""

    layout: Layout
    parts: tuple[tuple[float, Folder], ...]

    def __init__(self, name: str, layout: Layout, parts: tuple[tuple[float, Folder], ...], base: str) -> None:
        if [weight for weight, _ in parts] == [1.0]:
            digest = parts[0][1].digest
        else:
            content = json.dumps([layout.digest, *([weight.hex(), folder.digest] for weight, folder in parts)])
            digest = hashlib.sha256(content.encode()).hexdigest()
        super().__init__(name, digest, base)
        object.__setattr__(self, "layout", layout)
        object.__setattr__(self, "parts", parts)

    def __repr__(self) -> str:
        return f"Checkpoint({self.name!r}, {self.digest[:12]})"

    @property
    def size(self) -> int:
        return self.layout.size

    def with_base(self, base: str) -> Checkpoint:
        return Checkpoint(self.name, self.layout, self.parts, base)

    def renamed(self, name: str) -> Checkpoint:
        return Checkpoint(name, self.layout, self.parts, self.base)

    def pieces(self, name: str) -> Iterator[NDArray[np.float32]]:
        """The values of a tensor in order, a piece at a time."""
        kind = next(kind for tensor, kind, _ in self.layout.tensors if tensor == name)
        for piece in self._pieces(name, kind):
            yield shards.widen(piece, kind)

    def tensors(self) -> Iterator[tuple[str, str, Array]]:
        """Name, number format and values as stored (BF16 as uint16), one tensor at a time."""
        for name, kind, shape in self.layout.tensors:
            tensor: Array = np.empty(int(np.prod(shape, dtype=np.int64)), shards.KINDS[kind])
            done = 0
            for piece in self._pieces(name, kind):
                tensor[done : done + len(piece)] = piece
                done += len(piece)
            yield name, kind, tensor.reshape(shape)

    def _pieces(self, name: str, kind: str) -> Iterator[Array]:
        """A tensor's pieces, each the weighted sum of the folders' pieces in float32, rounded as it is stored."""
        if [weight for weight, _ in self.parts] == [1.0]:
            yield from self.parts[0][1].tensors[name].pieces()
            return
        first = self.parts[0][1].tensors[name]
        for start in first.starts():
            total = np.zeros(min(shards.PIECE, first.size - start), np.float32)
            with np.errstate(over="ignore", invalid="ignore"):  # counted below
                for weight, folder in self.parts:
                    total += np.float32(weight) * shards.widen(folder.tensors[name].piece(start), kind)
            stored = shards.narrow(total, kind)
            if bad := shards.infinite(stored, kind):
                raise PoolError(
                    f"expert '{self.name}': {bad} weights of {name} are no longer finite; reduce weight.step_length"
                )
            yield stored

    def write(self, folder: Path, dtype: Literal["float32", "float16"] = "float32") -> str:
        """Write the model to `folder`, weights in one file and in their own format; `dtype` is for adapters.

        Returns the digest of what was written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        source = self.parts[0][1]
        for path in sorted(source.path.iterdir()):
            if path.is_file() and path.suffix in _BESIDE and path.name != shards.INDEX:
                shutil.copyfile(path, folder / path.name)
        whole, new = hashlib.sha256(self.layout.digest.encode()), folder / f"{shards.SINGLE}.new"
        with new.open("wb") as file:
            shards.write_header(file, {name: source.tensors[name] for name, _, _ in self.layout.tensors})
            for name, kind, _ in self.layout.tensors:
                for piece in self._pieces(name, kind):
                    whole.update(piece.data)
                    piece.tofile(file)
            shards.sync(file)
        os.replace(new, folder / shards.SINGLE)
        return whole.hexdigest()

    @classmethod
    def read(cls, folder: str | Path) -> Checkpoint:
        """The model in `folder`, named after it; every weight is read once, for the digest and for NaN.

        PoolError says what is wrong with it.
        """
        folder = Path(folder)
        config = _read_config(folder)
        tensors = shards.tensors_in(folder)
        if not tensors:
            raise PoolError(f"expert '{folder.name}' has no tensors; copy or download it again")
        layout = Layout(
            tuple((name, found.kind, found.shape) for name, found in tensors.items()),
            config,
            tokenizer_digest(folder),
            chat_template(folder),
        )
        whole = hashlib.sha256(layout.digest.encode())
        for name, stored in tensors.items():
            for piece in stored.pieces():
                if shards.infinite(piece, stored.kind):
                    raise PoolError(
                        f"expert '{folder.name}': {name!r} holds NaN or infinite weights; train or download it again"
                    )
                whole.update(piece.data)
        return cls(folder.name, layout, ((1.0, Folder(folder, tensors, whole.hexdigest())),), str(folder))

    @classmethod
    def blend(cls, checkpoints: Sequence[Checkpoint], weights: Sequence[float], name: str) -> Checkpoint:
        """The weighted sum of `checkpoints`, all of one layout; the weights of a folder that occurs twice are added."""
        total: dict[str, float] = {}
        folders: dict[str, Folder] = {}
        for checkpoint, weight in zip(checkpoints, weights, strict=True):
            for own, folder in checkpoint.parts:
                folders.setdefault(folder.digest, folder)
                total[folder.digest] = total.get(folder.digest, 0.0) + float(weight) * own
        parts = tuple((weight, folders[digest]) for digest, weight in total.items() if weight)
        return cls(name, checkpoints[0].layout, parts or ((0.0, next(iter(folders.values()))),), checkpoints[0].base)


def is_checkpoint(folder: Path) -> bool:
    """Whether `folder` looks like a whole model rather than an adapter."""
    adapter = (folder / "adapter_config.json").is_file() and (
        not any(folder.glob("model*.safetensors")) or any(folder.glob("adapter_model.*"))
    )
    return (folder / "config.json").is_file() and not adapter


def tokenizer_digest(folder: Path) -> str:
    """SHA-256 over vocabulary and added tokens of the tokenizer in `folder`; "" if it holds none."""
    whole = hashlib.sha256()
    if (path := folder / "tokenizer.json").is_file():
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            added = sorted([token["id"], token["content"]] for token in content.get("added_tokens") or [])
            # Not the merges: versions of the library write them in different forms.
            whole.update(json.dumps([content["model"]["vocab"], added], sort_keys=True).encode())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
            raise PoolError(f"{path} cannot be read ({fault!r}); copy or download it again") from fault
        return whole.hexdigest()
    found = [path for name in ("tokenizer.model", "vocab.json", "merges.txt") if (path := folder / name).is_file()]
    for path in found:
        whole.update(path.name.encode() + path.read_bytes())
    return whole.hexdigest() if found else ""


def chat_template(folder: Path) -> str:
    """The chat template of the tokenizer in `folder`; "" if it has none."""
    try:
        if (path := folder / "chat_template.jinja").is_file():
            return path.read_text(encoding="utf-8")
        content = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        return json.dumps(content["chat_template"]) if content.get("chat_template") else ""
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError, RecursionError) as fault:
        raise PoolError(f"the chat template in {folder} cannot be read ({fault}); download it again") from fault


def _read_config(folder: Path) -> dict[str, object]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise PoolError(f"{path} cannot be read as JSON ({fault}); copy or download it again") from fault
    if not isinstance(config, dict) or not config.get("model_type"):
        raise PoolError(f"{path} is not a model's config (no model_type); expected a folder saved by save_pretrained")
    if config.get("quantization_config"):
        raise PoolError(f"expert '{folder.name}' is quantised; only plain weights can be combined")
    return {key: value for key, value in config.items() if key not in _IDLE}
