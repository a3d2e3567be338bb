"""From a row of any table to an entry of the field's format: which column holds what, and choices by letter."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from string import ascii_uppercase

from hswarm.errors import TaskError
from hswarm.tasks.known import Columns, chat_answer, chat_question, is_chat

KEYS = ("question", "answer", "choices", "context_chunks", "id", "domain", "split")
_UNSEPARATED = re.compile(r"(['\"])\s+\1")  # numpy's way to print a list of texts


def field_entry(row: object, columns: Columns) -> object:
    """`row` as {"question", "answer", "choices" ...}. `columns` maps those keys to column names.

    A name with dots reaches into a column ("answers.text"); a list of names makes choices or context chunks of as many
    columns. Choices given as a list get letters; an answer given as a place among them or as their text becomes its
    letter; yes and no stand for true and false. Several columns of the question are put one below the other. A chat's
    last turn is the answer; a list of texts, also one written as JSON, is every accepted answer. TaskError for what
    has two readings, or none.
    """
    if not isinstance(row, Mapping):
        return row
    entry = {**row, **{key: _value(row, source) for key, source in columns.items()}}
    if isinstance(source := columns.get("choices"), list):
        entry["choices"] = _filled({name: _value(row, name) for name in source})
    if "choices" not in columns and "choices" not in row and "A" in row and "B" in row:
        entry["choices"] = _filled({letter: row[letter] for letter in ascii_uppercase if letter in row})
    for key in ("choices", "context_chunks", "question", "answer"):
        if key not in ("question", "answer") or str(entry.get(key)).lstrip()[:2] in ("[{", "[ "):
            entry[key] = _parsed(entry.get(key))
    if isinstance(columns.get("question"), list):
        entry["question"] = "\n\n".join(map(str, entry["question"]))
    if is_chat(entry.get("answer")):
        entry["answer"] = chat_answer(entry["answer"])
    if is_chat(entry.get("question")):
        entry["question"] = chat_question(entry["question"])
    listed = isinstance(entry["choices"], list)
    entry["choices"] = _by_letter(entry["choices"])
    entry["answer"] = _answer(_accepted(entry.get("answer")), entry["choices"], listed)
    return {key: value for key, value in entry.items() if value is not None}


def _value(row: Mapping[str, object], source: str | list[str]) -> object:
    if isinstance(source, list):
        return [cell for name in source if (cell := _value(row, name)) not in (None, "")]
    found: object = row
    for part in [source] if source in row else source.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _filled(cells: Mapping[str, object]) -> list[object]:
    """The choices in columns, without empty ones at the end. TaskError for an empty one before a filled one."""
    names = list(cells)
    while names and cells[names[-1]] in (None, ""):
        names.pop()
    if empty := [name for name in names if cells[name] in (None, "")]:
        raise TaskError(f"choice {empty[0]!r} is empty, which would shift the letters after it; fill it in or move it")
    return [cells[name] for name in names]


def _parsed(value: object) -> object:
    """A list or mapping written as JSON or by Python, as CSV cells are; everything else as it stands."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return _literal(value)
    return None if value == "" else value


def _literal(text: str) -> object:
    """The list or mapping that `text` is as Python prints one, else the text. Nothing is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about backslashes
            found: object = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    if _UNSEPARATED.search(text):
        raise TaskError(f"{text.strip()[:40]!r} is a list without commas; write it as JSON")
    return found if isinstance(found, list | dict) else text


def _accepted(answer: object) -> object:
    """Accepted answers from {"text": [...]} or a written list of texts; a list of numbers is one answer."""
    if isinstance(answer, Mapping) and isinstance(answer.get("text"), list):
        return answer["text"]
    listed = _parsed(answer) if isinstance(answer, str) and answer.strip()[:1] == "[" else None
    return listed if isinstance(listed, list) and listed and all(isinstance(one, str) for one in listed) else answer


def _by_letter(choices: object) -> object:
    """Choices as {letter: text} from a list, from lists of texts and labels, or from a list of both."""
    if isinstance(choices, Mapping) and "label" in choices and "text" in choices:
        choices = _labelled(choices["label"], choices["text"])
    elif isinstance(choices, list) and choices and all(_is_labelled(one) for one in choices):
        choices = _labelled([one["label"] for one in choices], [one["text"] for one in choices])
    elif isinstance(choices, list):
        if len(choices) > len(ascii_uppercase):
            raise TaskError(f'{len(choices)} choices are more than there are letters; name them: {{"1": ...}}')
        choices = dict(zip(ascii_uppercase, choices, strict=False))
    if isinstance(choices, dict):
        for letter, text in choices.items():
            if text is None or not str(text).strip():
                raise TaskError(f"choice {letter} is empty; fill it in or leave it out")
            if isinstance(text, list | dict):
                raise TaskError(f"choice {letter} must be text, got {str(text)[:40]}")
    return choices


def _is_labelled(choice: object) -> bool:
    return isinstance(choice, Mapping) and "label" in choice and "text" in choice


def _labelled(labels: Sequence[object], texts: Sequence[object]) -> dict[str, object]:
    names = list(map(str, labels))
    if len(names) != len(texts) or len(set(names)) < len(names):
        raise TaskError(
            f"choices have {len(texts)} texts for the labels {', '.join(names)[:60]}; one each, all distinct"
        )
    return dict(zip(names, texts, strict=True))


def _answer(answer: object, choices: object, listed: bool) -> object:
    """The letter that `answer` is, names by its place from 0 or by its text; TaskError where these are several.

    `listed` choices got their letters here, so an answer "A" may as well be the text of another one.
    """
    if isinstance(answer, bool):
        answer = "yes" if answer else "no"
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if not isinstance(choices, dict) or not choices or isinstance(answer, list | dict) or answer is None:
        return answer
    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)  # a column with gaps is read as floats
    text = str(answer).strip()
    bare = text.strip("().[]: ")
    by_lower = {letter.lower(): letter for letter in choices}
    letter = bare if bare in choices else by_lower.get(bare.lower()) if len(by_lower) == len(choices) else None
    place = list(choices)[int(text)] if text.isdecimal() and len(text) < 3 and int(text) < len(choices) else None
    named = [key for key, choice in choices.items() if str(choice).strip() == text]
    if letter is not None and not listed:
        return letter
    readings = [key for key in (letter, place) if key is not None] + named
    if len(set(readings)) > 1:
        known = {"the letter of": letter, "the place of": place} | (
            {"the text of": " and ".join(named)} if named else {}
        )
        told = " and ".join(f"{how} {key}" for how, key in known.items() if key)
        raise TaskError(f'answer {text!r} is {told}; write the letter, and choices as {{"A": ...}}')
    return readings[0] if readings else answer
