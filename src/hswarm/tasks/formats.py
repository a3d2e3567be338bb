"""Data files: the field's JSON ({"dev": [...], "test": [...]}), JSONL, CSV, Parquet. All faults at once."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hswarm.errors import MissingExtra, TaskError
from hswarm.tasks.columns import KEYS, field_entry
from hswarm.tasks.task import Example

_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_SHOWN = 5  # faults named before "and n more"


@dataclass(frozen=True)
class DataFile:
    """Examples by split; a file without splits has them all under ""."""

    splits: Mapping[str, tuple[Example, ...]]


def read_data(
    path: str | Path, columns: Mapping[str, str | list[str]] | None = None, names: Mapping[str, str] | None = None
) -> DataFile:
    """The examples in a .json, .jsonl, .csv, .tsv or .parquet file. TaskError names the first faults with their places.

    `columns` maps keys of an example to columns of the file; `names` says what the file calls dev and test.
    """
    path, columns = Path(path), columns or {}
    if path.suffix not in _SUFFIXES:
        raise TaskError(f"task file {path}: a file of questions ends in {', '.join(_SUFFIXES)}; rename or convert it")
    if unknown := set(columns) - set(KEYS):
        raise TaskError(f"task.columns has '{min(unknown)}'; an example has: {', '.join(KEYS)}")
    icl = ""
    if path.suffix == ".parquet":
        rows = _by_split(path, _parquet(path), columns, names or {})
    else:
        text = _text(path)
        if path.suffix in (".csv", ".tsv"):
            rows = _by_split(path, _csv(path, text), columns, names or {})
        elif path.suffix in (".jsonl", ".ndjson"):
            rows = _by_split(path, _jsonl(path, text), columns, names or {})
        else:
            rows, icl = _field_json(path, text, names or {})
    return examples_of(rows, columns, f"task file {path}", icl)


def examples_of(
    rows: Mapping[str, Sequence[Any]], columns: Mapping[str, str | list[str]], what: str, icl: str = ""
) -> DataFile:
    """Rows by split as examples, `icl` with each. TaskError, beginning with `what`, for rows that are none."""
    faults: list[str] = []
    splits = {}
    for name, part in rows.items():
        found = (_example(row, columns, f"{name or 'row'}[{i}]", faults) for i, row in enumerate(part))
        splits[name] = tuple(replace(example, icl=icl) if icl else example for example in found if example)
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        first = next((row for part in rows.values() for row in part if isinstance(row, Mapping)), {})
        keys = f"; the first row has: {', '.join(map(str, first))[:120] or 'nothing'} (map them with task.columns)"
        raise TaskError(f"{what}: {'; '.join(faults[:_SHOWN])}{more}{keys}")
    return DataFile(splits)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # some programs write a byte order mark
    except (OSError, UnicodeDecodeError) as fault:
        raise TaskError(f"task file {path} cannot be read: {fault}") from fault


def _field_json(path: Path, text: str, names: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Rows by split, and the worked examples that go before every question."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise TaskError(f"task file {path} is not JSON: {fault}") from fault
    if isinstance(content, list):
        return {"": content}, ""
    dev = names.get("dev") or "dev"
    if not isinstance(content, dict) or not isinstance(content.get(dev), list):
        raise TaskError(
            f'task file {path}: expected {{"{dev}": [...], "test": [...]}}, got {_shape(content)}; see docs/tasks.md'
        )
    found = {split: content.get(names.get(split) or split) for split in ("dev", "test")}
    icl = content.get("icl_prompt")
    return {split: part for split, part in found.items() if isinstance(part, list)}, icl if isinstance(icl, str) else ""


def _jsonl(path: Path, text: str) -> Iterable[Any]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as fault:
                raise TaskError(f"task file {path}, line {number} is not JSON: {fault}") from fault


def _csv(path: Path, text: str) -> Iterable[Any]:
    try:
        rows = csv.DictReader(text.splitlines(keepends=True), delimiter="\t" if path.suffix == ".tsv" else ",")
        yield from ({key: value for key, value in row.items() if key is not None} for row in rows)
    except csv.Error as fault:
        raise TaskError(f"task file {path} is not CSV: {fault}") from fault


def _parquet(path: Path) -> Iterable[Any]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as missing:
        raise MissingExtra(f"task file {path}", "parquet") from missing
    try:
        rows: list[Any] = parquet.read_table(path).to_pylist()
    except (OSError, ArrowException) as fault:
        raise TaskError(f"task file {path} cannot be read as Parquet: {str(fault).splitlines()[0]}") from fault
    return rows


def _by_split(
    path: Path, rows: Iterable[Any], columns: Mapping[str, str | list[str]], names: Mapping[str, str]
) -> dict[str, list[Any]]:
    """Rows with a "split" go there; if none has one, all go to "". With `names` given, other splits are left out."""
    key = columns.get("split", "split")
    known = {names.get(split) or split: split for split in ("dev", "test")}
    splits: dict[str, list[Any]] = {}
    for number, row in enumerate(rows, 1):
        name = (row.get(key) or "") if isinstance(row, Mapping) and isinstance(key, str) else ""
        if name and name not in known:
            if any(names.values()):
                continue
            raise TaskError(
                f"task file {path}, row {number}: split must be 'dev' or 'test', got {name!r}; name the "
                "file's own with task.dev_split and task.test_split"
            )
        splits.setdefault(known[name] if name else "", []).append(row)
    if "" in splits and len(splits) > 1:
        raise TaskError(f"task file {path}: some rows have a split and some have none")
    return splits


def _example(row: Any, columns: Mapping[str, str | list[str]], place: str, faults: list[str]) -> Example | None:
    """The example of one row, or None with its faults added."""
    try:
        entry = field_entry(row, columns)
    except TaskError as fault:
        faults.append(f"{place}: {fault}")
        return None
    if not isinstance(entry, dict):
        faults.append(f"{place} is {_shape(entry)}, expected an object")
        return None
    before = len(faults)
    answers = entry["answer"] if isinstance(entry.get("answer"), list) else [entry.get("answer")]
    if not _is_text(entry.get("question")):
        faults.append(f"{place} has no 'question'")
    if not answers or not all(map(_is_text, answers)):
        faults.append(f"{place} has no 'answer'")
    choices, context = entry.get("choices") or {}, entry.get("context_chunks") or []
    if not isinstance(choices, dict):
        faults.append(f"{place}: choices must map letters to texts, got {_shape(choices)}")
    elif choices and "answer" in entry and not all(str(answer) in choices for answer in answers):
        faults.append(f"{place}: answer {str(entry['answer'])[:40]!r} is none of the choices {', '.join(choices)[:80]}")
    if not isinstance(context, list):
        faults.append(f"{place}: context_chunks must be a list, got {_shape(context)}")
    elif wrong := [i for i, chunk in enumerate(context) if not isinstance(chunk, str | int | float)]:
        faults.append(f"{place}: context_chunks[{wrong[0]}] must be text, got {_shape(context[wrong[0]])}")
    if len(faults) > before:
        return None
    return Example(
        id=str(entry.get("id", place)),
        question=str(entry["question"]),
        answer=str(answers[0]),
        choices={letter: str(text) for letter, text in choices.items()},
        context=tuple(map(str, context)),
        domain=str(entry.get("domain", "")),
        meta={"answers": tuple(map(str, answers))} if len(answers) > 1 else {},
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str | int | float) and value == value and bool(str(value).strip())  # NaN is no text


def _shape(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", type(None): "nothing"}
    keys = f" with {', '.join(map(str, value))[:60] or 'no keys'}" if isinstance(value, dict) else ""
    return names.get(type(value), type(value).__name__) + keys
