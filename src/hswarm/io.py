"""Files that are either whole or absent: written to a temporary file, flushed, then renamed."""

from __future__ import annotations

import fcntl
import json
import math
import os
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from hswarm.errors import RunError

Array = NDArray[Any]


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` with `content`, safe against a crash or a power cut at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)  # a leftover of a crash, or a link planted there
    with new.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    sync(path.parent)


def without_nan(value: Any) -> Any:
    """`value`, including nested lists and dicts, with None for nan, which JSON does not have."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def sync(path: Path) -> None:
    """Flush a file's content, or the names in a folder, to disk, so that they survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """`sync` `folder` and everything in it."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, content.encode())


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file; `what` names it in the error."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except FileNotFoundError as fault:
        raise RunError(f"expected {what} at {path.parent}: {path.name} is missing") from fault
    except (OSError, ValueError, RecursionError) as fault:
        raise RunError(f"{path} cannot be read: {fault}") from fault


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """ValueError for a name that stands twice: which of the two counts would depend on who reads it."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)[:100]!r} stands twice in one object")
    return made


def check_text(content: object) -> None:
    """ValueError if a text in `content`, of JSON, holds half a character (a lone surrogate): nothing could send it."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as fault:
        raise ValueError("a text holds half a character (a lone surrogate)") from fault


def write_tensors(path: Path, tensors: Mapping[str, Array], metadata: dict[str, str] | None = None) -> None:
    """Arrays as safetensors."""
    write_bytes(path, save_tensors(dict(tensors), metadata))


def read_tensors(path: Path) -> dict[str, Array]:
    """Arrays of a safetensors file."""
    try:
        return dict(load_tensors(path.read_bytes()))
    except (OSError, SafetensorError, KeyError, ValueError) as fault:
        raise RunError(f"{path} cannot be read: {fault}") from fault


def has_locks(folder: Path) -> bool:
    """Whether files in `folder` can be locked: some network file systems (NFS, Lustre) are mounted without."""
    with tempfile.TemporaryFile(dir=folder) as probe:
        try:
            fcntl.lockf(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def numbered(name: str, taken: Collection[str]) -> str:
    """`name`, or the first of name-2, name-3 ... that is not taken."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found


def what_is(path: Path) -> str:
    """`; it is ...` with what to do, for a path that is not what was expected."""
    if not path.exists():
        return "; nothing is there"
    if path.is_file():
        return f"; it is a recipe: hswarm search {path}" if path.suffix == ".toml" else "; it is a file"
    kinds = {
        "adapter_config.json": f"an adapter: name the folder that holds it, {path.parent}, in a recipe's pool",
        "config.toml": f"a run: hswarm show {path}",
        "manifest.json": "a bundle: hswarm ask, evaluate and serve take it",
        "system.json": "a system: hswarm ask, evaluate, serve and export take it",
        "table.json": "a comparison or a sweep: the command that made it goes on with it",
        "config.json": "a model: name it in a recipe's pool",
    }
    for name, text in kinds.items():
        if (path / name).is_file():
            return f"; it is {text}"
    if any(path.glob("*/adapter_config.json")):
        return f"; it is a pool of experts: hswarm experts check {path}"
    held = sorted(inner.parent for inner in path.glob("*/config.toml"))
    return f"; it holds runs: name one, as {held[0]}" if held else "; it is a folder of something else"
