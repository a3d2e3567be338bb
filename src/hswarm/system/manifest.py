"""The whole content of an exported folder: SHA-256 and size of every file, in manifest.json.

It shows whether a file was changed, added or lost, but not who made the folder: that takes a signature
(docs/bundle.md).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from hswarm import io
from hswarm.errors import RunError

MANIFEST = "manifest.json"
_FORMAT = 1
_BESIDE = (MANIFEST, "model.sig")  # a signature is made after the manifest


class _File(BaseModel):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int


class _Manifest(BaseModel):
    format: int
    files: dict[str, _File]


def write_manifest(folder: Path) -> None:
    """Describe all files of `folder`, last of all."""
    described = {name: _describe(path) for name, path in _files(folder).items()}
    io.write_text(folder / MANIFEST, _Manifest(format=_FORMAT, files=described).model_dump_json(indent=2) + "\n")


def check_manifest(folder: Path) -> None:
    """RunError if `folder` holds a link, or is not what its manifest says; a folder may have none.

    Names that begin with a dot (.git) are ignored.
    """
    found = _files(folder)
    if not (folder / MANIFEST).is_file():
        return
    listed = _read(folder / MANIFEST)
    faults = [f"{name} is missing" for name in sorted(listed.keys() - found)]
    faults += [f"{name} was added" for name in sorted(found.keys() - listed)]
    for name in sorted(listed.keys() & found):
        size = found[name].stat().st_size
        if size != listed[name].bytes:
            faults.append(f"{name} has {size} bytes, expected {listed[name].bytes}")
        elif _describe(found[name]) != listed[name]:
            faults.append(f"{name} has changed")
    if faults:
        more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
        raise RunError(f"{folder} is not as it was exported: {'; '.join(faults[:3])}{more}; copy or download it again")


def _read(path: Path) -> dict[str, _File]:
    content = io.read_json(path, "a manifest")
    try:
        manifest = _Manifest.model_validate(content)
    except ValidationError as fault:
        raise RunError(f"{path} is not a manifest as hswarm writes it ({fault.error_count()} faults)") from fault
    if manifest.format != _FORMAT:
        raise RunError(f"{path}: format {manifest.format}, this hswarm reads {_FORMAT}")
    return manifest.files


def _files(folder: Path) -> dict[str, Path]:
    """All files under `folder` by their names there. RunError for a link or what is neither file nor folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(".") or name in _BESIDE:
            continue
        if path.is_symlink():
            raise RunError(
                f"{path} is a link; a system holds its own files only, put the file itself there (a download from "
                "the hub into a folder of its own has no links)"
            )
        if path.is_file():
            found[name] = path
        elif not path.is_dir():
            raise RunError(f"{path} is neither a file nor a folder; remove it")
    return found


def _describe(path: Path) -> _File:
    with path.open("rb") as file:
        return _File(sha256=hashlib.file_digest(file, "sha256").hexdigest(), bytes=path.stat().st_size)
