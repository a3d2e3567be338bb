"""Data files: the field's JSON ({"dev": [...], "test": [...]}) and JSONL (one example a line). All faults at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hswarm.errors import TaskError
from hswarm.tasks.task import Example

_SHOWN = 5  # faults named before "and n more"


@dataclass(frozen=True)
class DataFile:
    """Examples by split; a file without splits has them all under ""."""

    splits: Mapping[str, tuple[Example, ...]]
    icl_prompt: str = ""


def read_data(path: str | Path) -> DataFile:
    """The examples in a .json or .jsonl file. TaskError names the first faults with their places."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise TaskError(f"task file {path} cannot be read: {fault}") from fault
    entries = _jsonl(path, text) if path.suffix == ".jsonl" else _field_json(path, text)
    icl = entries.pop("icl_prompt", "")
    faults: list[str] = []
    splits = {
        name: tuple(e for i, entry in enumerate(part) if (e := _example(entry, f"{name or 'line'}[{i}]", faults)))
        for name, part in entries.items()
    }
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise TaskError(f"task file {path}: {'; '.join(faults[:_SHOWN])}{more}")
    return DataFile(splits, icl)


def _field_json(path: Path, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise TaskError(f"task file {path} is not JSON: {fault}") from fault
    if isinstance(content, list):
        return {"": content}
    if not isinstance(content, dict) or not isinstance(content.get("dev"), list):
        raise TaskError(f'task file {path}: expected {{"dev": [...], "test": [...]}}, got '
                        f"{_shape(content)}; see docs/tasks.md")  # fmt: skip
    found: dict[str, Any] = {name: content[name] for name in ("dev", "test") if isinstance(content.get(name), list)}
    return found | {"icl_prompt": content["icl_prompt"] if isinstance(content.get("icl_prompt"), str) else ""}


def _jsonl(path: Path, text: str) -> dict[str, Any]:
    """Lines with a "split" go there; if no line has one, all go to ""."""
    splits: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as fault:
            raise TaskError(f"task file {path}, line {number} is not JSON: {fault}") from fault
        name = entry.get("split", "") if isinstance(entry, dict) else ""
        if name not in ("", "dev", "test"):
            raise TaskError(f"task file {path}, line {number}: split must be 'dev' or 'test', got {name!r}")
        splits.setdefault(name, []).append(entry)
    if "" in splits and len(splits) > 1:
        raise TaskError(f"task file {path}: some lines have a split and some have none")
    return splits


def _example(entry: Any, place: str, faults: list[str]) -> Example | None:
    """The example of one entry, or None with its faults added."""
    if not isinstance(entry, dict):
        faults.append(f"{place} is {_shape(entry)}, expected an object")
        return None
    before = len(faults)
    for key in ("question", "answer"):
        if not isinstance(entry.get(key), str | int | float) or not str(entry[key]).strip():
            faults.append(f"{place} has no '{key}'")
    choices, context = entry.get("choices") or {}, entry.get("context_chunks") or []
    if not isinstance(choices, dict):
        faults.append(f"{place}: choices must map letters to texts, got {_shape(choices)}")
    elif choices and "answer" in entry and str(entry["answer"]) not in choices:
        faults.append(f"{place}: answer {str(entry['answer'])[:40]!r} is none of the choices {', '.join(choices)[:80]}")
    if not isinstance(context, list):
        faults.append(f"{place}: context_chunks must be a list, got {_shape(context)}")
    if len(faults) > before:
        return None
    return Example(
        id=str(entry.get("id", place)), question=str(entry["question"]), answer=str(entry["answer"]),
        choices={letter: str(text) for letter, text in choices.items()}, context=tuple(map(str, context)),
        domain=str(entry.get("domain", "")),
    )  # fmt: skip


def _shape(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", type(None): "nothing"}
    keys = f" with {', '.join(map(str, value))[:60] or 'no keys'}" if isinstance(value, dict) else ""
    return names.get(type(value), type(value).__name__) + keys
