"""From a row of any table to an entry of the field's format: which column holds what, and choices by letter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from hswarm.errors import TaskError
from hswarm.tasks.known import chat_answer, chat_question, is_chat

KEYS = ("question", "answer", "choices", "context_chunks", "id", "domain", "split")


def field_entry(row: Any, columns: Mapping[str, str | list[str]]) -> Any:
    """`row` as {"question", "answer", "choices" ...}. `columns` maps those keys to column names.

    A name with dots reaches into a column ("answers.text"); a list of names makes choices or context chunks of as many
    columns. Choices given as a list get letters; an answer given as a place among them or as their text becomes its
    letter; yes and no stand for true and false. Several columns of the question are put one below the other. A chat's
    last turn is the answer; a list of texts, also one written as JSON, is every accepted answer.
    """
    if not isinstance(row, Mapping):
        return row
    entry = {**row, **{key: _value(row, source) for key, source in columns.items()}}
    if isinstance(source := columns.get("choices"), list):
        entry["choices"] = _filled({name: _value(row, name) for name in source})
    if "choices" not in columns and "choices" not in row and "A" in row and "B" in row:
        entry["choices"] = _filled({letter: row[letter] for letter in ascii_uppercase if letter in row})
    for key in ("choices", "context_chunks"):
        entry[key] = _parsed(entry.get(key))
    if isinstance(columns.get("question"), list):
        entry["question"] = "\n\n".join(map(str, entry["question"]))
    if is_chat(entry.get("answer")):
        entry["answer"] = chat_answer(entry["answer"])
    if is_chat(entry.get("question")):
        entry["question"] = chat_question(entry["question"])
    entry["answer"] = _accepted(entry.get("answer"))
    entry["choices"] = _by_letter(entry["choices"])
    entry["answer"] = _answer(entry.get("answer"), entry["choices"])
    return {key: value for key, value in entry.items() if value is not None}


def _value(row: Mapping[str, Any], source: str | list[str]) -> Any:
    if isinstance(source, list):
        return [cell for name in source if (cell := _value(row, name)) not in (None, "")]
    found: Any = row
    for part in [source] if source in row else source.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _filled(cells: Mapping[str, Any]) -> list[Any]:
    """The choices in columns, without empty ones at the end. TaskError for an empty one before a filled one."""
    names = list(cells)
    while names and cells[names[-1]] in (None, ""):
        names.pop()
    if empty := [name for name in names if cells[name] in (None, "")]:
        raise TaskError(f"choice {empty[0]!r} is empty, which would shift the letters after it; fill it in or move it")
    return [cells[name] for name in names]


def _parsed(value: Any) -> Any:
    """A list or mapping written as JSON, as CSV cells are; everything else as it stands."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return None if value == "" else value


def _accepted(answer: Any) -> Any:
    """Accepted answers from {"text": [...]} or a JSON list of texts; a list of numbers is one answer."""
    if isinstance(answer, Mapping) and isinstance(answer.get("text"), list):
        return answer["text"]
    listed = _parsed(answer) if isinstance(answer, str) and answer.strip()[:1] == "[" else None
    return listed if isinstance(listed, list) and listed and all(isinstance(one, str) for one in listed) else answer


def _by_letter(choices: Any) -> Any:
    if isinstance(choices, Mapping) and isinstance(choices.get("text"), Sequence) and "label" in choices:
        return dict(zip(map(str, choices["label"]), choices["text"], strict=False))
    if isinstance(choices, list) and len(choices) <= len(ascii_uppercase):
        return dict(zip(ascii_uppercase, choices, strict=False))
    return choices


def _answer(answer: Any, choices: Any) -> Any:
    if isinstance(answer, bool):
        answer = "yes" if answer else "no"
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if not isinstance(choices, dict) or not choices or isinstance(answer, list) or str(answer) in choices:
        return answer
    text = str(answer)
    named = [letter for letter, choice in choices.items() if str(choice).strip() == text.strip()]
    if text.isdecimal() and len(text) < 3 and int(text) < len(choices):
        place = list(choices)[int(text)]
        if isinstance(answer, str) and named and named != [place]:
            raise TaskError(f"answer {text!r} is the text of {named[0]} and the place of {place}; write the letter")
        return place
    return named[0] if len(named) == 1 else answer
