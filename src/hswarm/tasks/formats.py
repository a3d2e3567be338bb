"""Data files: the field's JSON ({"dev": [...], "test": [...]}), JSONL, CSV, Parquet. All faults at once."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from hswarm.errors import MissingExtra, TaskError
from hswarm.tasks.columns import KEYS, field_entry
from hswarm.tasks.known import SPLITS, Columns, is_chat, known_columns, tell
from hswarm.tasks.task import Example, Meta

_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_SHOWN = 5  # faults named before "and n more"
_LISTS = ("data", "examples", "instances", "questions", "rows")
_SCORERS = {  # what files of a neighbouring project say of themselves
    "multiple_choice": "choice",
    "exact_match": "exact",
    "general_verifier": "exact",
    "f1_match": "token_f1",
    "coding": "code",
    "reward_model": "reward",
    "text_generation": "reward",
}
_LONGEST = 1 << 24  # characters of a CSV cell; the library's own limit of 131,072 is below a long context


class Table(NamedTuple):
    """Rows by split, the worked examples that go before every question, and the scorer that the file asks for."""

    rows: Mapping[str, Sequence[Row]]
    icl: str = ""
    scorer: str = ""


class Row(NamedTuple):
    """What a file or data set holds of one example, and the line it stands on ("" where that is not known)."""

    content: object
    line: str = ""


@dataclass(frozen=True)
class DataFile:
    """Examples by split; a file without splits has them all under "". `scorer` is the one that it asks for, or ""."""

    splits: Mapping[str, tuple[Example, ...]]
    scorer: str = ""


def read_data(
    path: str | Path, columns: Columns | None = None, names: Mapping[str, str] | None = None, scorer: str = ""
) -> DataFile:
    """The examples in a .json, .jsonl, .csv, .tsv or .parquet file. TaskError names the first faults with their places.

    `columns` maps keys of an example to columns of the file; `names` says what the file calls dev and test. `scorer` is
    the one that will score: a reward model needs no answers.
    """
    path, columns = Path(path), columns or {}
    if path.suffix not in _SUFFIXES:
        raise TaskError(f"task file {path}: a file of questions ends in {', '.join(_SUFFIXES)}; rename or convert it")
    if unknown := set(columns) - set(KEYS):
        raise TaskError(f"task.columns has '{min(unknown)}'; an example has: {', '.join(KEYS)}")
    if path.suffix == ".json":
        table = _field_json(path, _text(path), names or {})
    else:
        if path.suffix == ".parquet":
            read = _parquet(path)
        elif path.suffix in (".csv", ".tsv"):
            read = _csv(path, _text(path))
        else:
            read = _jsonl(path, _text(path))
        if not (rows := list(read)):
            raise TaskError(f"task file {path} has no rows; expected one a question (docs/tasks.md)")
        table = Table(_by_split(path, rows, columns, names or {}))
    return examples_of(table, columns, f"task file {path}", scorer)


def examples_of(table: Table, columns: Columns, what: str, scorer: str = "") -> DataFile:
    """Rows by split as examples. TaskError, beginning with `what`, for rows that are none."""
    faults: list[str] = []
    rows = {name: [_of_object(row) for row in part] for name, part in table.rows.items()}
    columns = known_columns((row.content for part in rows.values() for row in part), columns, what)
    needed = (scorer or table.scorer) != "reward"
    splits = {}
    for name, part in rows.items():
        found = (_example(row, columns, f"{name or 'row'}[{i}]", needed, faults) for i, row in enumerate(part))
        splits[name] = tuple(replace(example, icl=table.icl) if table.icl else example for example in found if example)
    if faults and not any(splits.values()) and all("has no 'answer'" in fault for fault in faults):
        faults = ['no row has an answer; only a reward model scores without (task.scorer = "reward")']
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        contents = (row.content for part in rows.values() for row in part)
        first = next((content for content in contents if isinstance(content, Mapping)), {})
        keys = f"; the first row has: {', '.join(map(str, first))[:120] or 'nothing'} (map them with task.columns)"
        raise TaskError(f"{what}: {'; '.join(faults[:_SHOWN])}{more}{keys}")
    return DataFile(splits, table.scorer)


def _of_object(row: Row) -> Row:
    """`row`; a bare list of turns is a row with messages."""
    return row._replace(content={"messages": row.content}) if is_chat(row.content) else row


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as fault:
        raise TaskError(f"task file {path} cannot be read: {fault}") from fault
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise TaskError(f"task file {path} is UTF-16; save it as UTF-8 (iconv -f utf-16 -t utf-8)")
    try:
        return raw.decode("utf-8-sig")  # some programs write a byte order mark
    except UnicodeDecodeError as fault:
        line = raw.count(b"\n", 0, fault.start) + 1
        raise TaskError(
            f"task file {path}, line {line} is not UTF-8 (byte {raw[fault.start]:#x}); save it as UTF-8, e.g. from "
            "Latin-1 by iconv -f latin1 -t utf-8"
        ) from fault


def _field_json(path: Path, text: str, names: Mapping[str, str]) -> Table:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as fault:
        lines = "; it has an object a line: rename it to .jsonl" if _is_json(text.strip().partition("\n")[0]) else ""
        raise TaskError(f"task file {path} is not JSON: {fault}{lines}") from fault
    scorer = ""
    if isinstance(content, dict):
        scorer = _SCORERS.get(str(content.get("task_type")), "")
        lists = [key for key, value in content.items() if isinstance(value, list)]
        names = _named(lists, names, f"task file {path}")
        if names.get("dev", "dev") not in content:
            content = content[lists[0]] if len(lists) == 1 and lists[0] in _LISTS else content
    if isinstance(content, list):
        return Table({"": list(map(Row, content))}, "", scorer)
    dev = names.get("dev") or "dev"
    if not isinstance(content, dict) or not isinstance(content.get(dev), list):
        raise TaskError(
            f'task file {path}: expected {{"{dev}": [...], "test": [...]}}, got {_shape(content)}; name other splits '
            "with task.dev_split and task.test_split (docs/tasks.md)"
        )
    found = {split: content.get(names.get(split) or split) for split in ("dev", "test")}
    icl = content.get("icl_prompt")
    rows = {split: list(map(Row, part)) for split, part in found.items() if isinstance(part, list)}
    return Table(rows, icl if isinstance(icl, str) else "", scorer)


def _named(there: Collection[str], names: Mapping[str, str], what: str) -> Mapping[str, str]:
    """`names` of dev and test, with dev by one of its usual other names where the file has no "dev"; told in a line."""
    if any(names.values()) or "dev" in there:
        return names
    dev = next((name for name in SPLITS if name in there), "")
    if not dev or not set(there) <= {"", "test", *SPLITS}:
        return names
    tell(f"{what}: dev is '{dev}'; task.dev_split overrules")
    return {"dev": dev, "test": "test"}


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _jsonl(path: Path, text: str) -> Iterable[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield Row(json.loads(line), f"line {number}")
            except (ValueError, RecursionError) as fault:
                remedy = "it is one JSON value: rename it to .json" if _is_json(text) else "write one object a line"
                told = f"{fault.msg}, at column {fault.colno}" if isinstance(fault, json.JSONDecodeError) else fault
                raise TaskError(f"task file {path}, line {number} is not JSON ({told}); {remedy}") from fault


def _csv(path: Path, text: str) -> Iterable[Row]:
    csv.field_size_limit(_LONGEST)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    place = f"task file {path}, line"
    try:
        header = [name.strip() for name in next(rows, [])]
        if twice := [name for name in header if name and header.count(name) > 1]:
            raise TaskError(f"{place} 1: two columns are called '{twice[0]}'; rename one")
        for row in rows:
            if any(cell.strip() for cell in row[len(header) :]):
                raise TaskError(
                    f"{place} {rows.line_num} has {len(row)} cells, the header {len(header)}; put text that holds "
                    f"{rows.dialect.delimiter!r} in double quotes"
                )
            if row:
                yield Row(dict(zip(header, row, strict=False)), f"line {rows.line_num}")
    except csv.Error as fault:
        raise TaskError(
            f"{place} {rows.line_num} is not CSV: {fault}; put text that holds quotes in quotes and double those inside"
        ) from fault


def _delimiter(text: str) -> str:
    """The one of comma, semicolon, tab and bar that splits the first line into most cells."""

    def cells(delimiter: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []))
        except csv.Error:
            return 0

    return max(",;\t|", key=cells)


def _parquet(path: Path) -> Iterable[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as missing:
        raise MissingExtra(f"task file {path}", "train") from missing
    try:
        rows = list(map(Row, parquet.read_table(path).to_pylist()))
    except (OSError, ArrowException) as fault:
        raise TaskError(f"task file {path} cannot be read as Parquet: {str(fault).splitlines()[0]}") from fault
    return rows


def _by_split(path: Path, rows: Sequence[Row], columns: Columns, names: Mapping[str, str]) -> dict[str, list[Row]]:
    """Rows with a "split" go there; if none has one, all go to "". With `names` given, other splits are left out."""
    key = columns.get("split", "split")
    named = [
        str(row.content.get(key) or "") if isinstance(row.content, Mapping) and isinstance(key, str) else ""
        for row in rows
    ]
    names = _named(set(named), names, f"task file {path}")
    known = {names.get(split) or split: split for split in ("dev", "test")}
    splits: dict[str, list[Row]] = {}
    for number, (row, name) in enumerate(zip(rows, named, strict=True), 1):
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


def _example(row: Row, columns: Columns, id: str, needed: bool, faults: list[str]) -> Example | None:
    """The example of one row, or None with its faults added. Without an answer it is one if none is `needed`."""
    place = row.line or id
    try:
        entry = field_entry(row.content, columns)
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
    if not needed and answers in ([None], [""]):
        answers = [""]
    elif not answers or not all(map(_is_text, answers)):
        endless = next((one for one in answers if isinstance(one, float) and not math.isfinite(one)), None)
        told = f"'s answer is {endless}: write it as text or leave the row out" if endless else " has no 'answer'"
        faults.append(f"{place}{told}")
    if broken := _half_character(entry):
        faults.append(f"{place}: {broken} holds half a character (a lone surrogate, \\ud800 to \\udfff); take it out")
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
        id=str(entry.get("id", id)),
        question=str(entry["question"]),
        answer=str(answers[0]),
        choices={letter: str(text) for letter, text in choices.items()},
        context=tuple(map(str, context)),
        domain=str(entry.get("domain", "")),
        meta=Meta(answers=tuple(map(str, answers))) if len(answers) > 1 else Meta(),
    )


def _half_character(entry: Mapping[str, object]) -> str:
    """The first key of an example whose text cannot be written as UTF-8, "" if all can."""
    for key in (key for key in KEYS if key in entry):
        try:
            json.dumps(entry[key], ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError:
            return key
    return ""


def _is_text(value: object) -> bool:
    finite = not isinstance(value, float) or math.isfinite(value)
    return isinstance(value, str | int | float) and finite and bool(str(value).strip())


def _shape(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", type(None): "nothing"}
    keys = f" with {', '.join(map(str, value))[:60] or 'no keys'}" if isinstance(value, dict) else ""
    return names.get(type(value), type(value).__name__) + keys
