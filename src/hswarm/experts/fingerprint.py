"""SHA-256 of everything in a base model that replies depend on: weights, tokenizer, chat template."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from hswarm.errors import PoolError
from hswarm.experts.base import find_base
from hswarm.experts.file_digest import file_digest

_WHAT = {"base": "weights or configuration", "tokenizer": "tokenizer", "template": "chat template"}
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "added_tokens.json")


def base_hashes(base: str) -> dict[str, str]:
    """Hexadecimal SHA-256 of "base", "tokenizer" and "template" of base model `base`, as find_base finds it."""
    folder = find_base(base)
    weights = [path for path in folder.iterdir() if path.suffix == ".safetensors"]
    return {
        "base": _digest([folder / "config.json", *weights]),
        "tokenizer": _digest(folder / name for name in _TOKENIZER),
        "template": hashlib.sha256(_template(folder).encode()).hexdigest(),
    }


def check_base(base: str, hashes: Mapping[str, str]) -> None:
    """PoolError naming every part of `base` whose hash differs from `hashes`."""
    found = base_hashes(base)
    odd = [
        f"{_WHAT[part]} {found[part][:12]}, expected {hashes[part][:12]}"
        for part in _WHAT
        if part in hashes and found[part] != hashes[part]
    ]
    if odd:
        raise PoolError(
            f"base '{base}' here is not the one the system was found with: {'; '.join(odd)}; "
            "use the same revision of the base"
        )


def _template(folder: Path) -> str:
    """The chat template's text, wherever the tokenizer keeps it."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    config = folder / "tokenizer_config.json"
    content = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    return json.dumps(content.get("chat_template", ""), sort_keys=True)


def _digest(paths: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for path in sorted(paths):
        if path.is_file():
            whole.update(path.name.encode() + b"\0" + file_digest(path))
    return whole.hexdigest()
