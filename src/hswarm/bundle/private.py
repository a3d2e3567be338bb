"""Removes the exporting machine's paths from an exported folder: each is replaced by its last part."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

from hswarm import io
from hswarm.bundle.card import yaml_text

_TOKENS = ("tokenizer.json", "vocab.json")  # large, and full of strings that look like paths
_WORDS = ("prompts", "chat_template", "added_tokens_decoder")  # text, not names
_Json = dict[str, "_Json"] | list["_Json"] | str | int | float | bool | None


def hide_paths(folder: Path) -> None:
    """Replace every absolute path that a JSON or TOML file in `folder` holds, there and in the model card."""
    files = [
        path for path in folder.rglob("*") if path.suffix in (".json", ".toml", ".md") and path.name not in _TOKENS
    ]
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(files)}
    names = _names({found for path, text in texts.items() for found in _paths(_parsed(path, text))})
    for path, text in texts.items():
        new = text
        for old, name in names.items():
            for quoted, instead in (
                (json.dumps(old), json.dumps(name)),
                (json.dumps(old, ensure_ascii=False), json.dumps(name, ensure_ascii=False)),
                (f"`{old}`", f"`{name}`"),
                (yaml_text([old]), yaml_text([name])),  # the card's list of bases
            ):
                new = new.replace(quoted, instead)
        if new != text:
            io.write_text(path, new)


def _parsed(path: Path, text: str) -> _Json:
    if path.suffix == ".md":
        return None
    content: _Json = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    return content


def _paths(content: _Json) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            if key not in _WORDS:
                yield from _paths(key)
                yield from _paths(value)
    elif isinstance(content, list):
        for value in content:
            yield from _paths(value)
    elif isinstance(content, str) and _is_path(content):
        yield content


def _is_path(text: str) -> bool:
    return text.startswith(("/", "~")) and "\n" not in text and len(Path(text).parts) > 1


def _names(paths: set[str]) -> dict[str, str]:
    """A name for each path: its last part, with a number where two share it."""
    names: dict[str, str] = {}
    for path in sorted(paths):
        names[path] = io.numbered(Path(path).name, names.values())
    return names
