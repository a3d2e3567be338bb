"""Column names that people use for question and answer: recognised automatically and reported in one line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from hswarm.errors import TaskError

Columns = Mapping[str, str | list[str]]

# Of several that a file has, the first one counts: a file with "solution" and "answer" is scored by the answer. Upper
# and lower case, spaces, hyphens and underscores do not matter: "Correct Answer" is "correctanswer".
KNOWN = {
    "question": (
        *("question", "problem", "query", "prompt", "instruction", "input", "messages", "conversations"),
        *("ctx", "goal", "user", "human", "sentence", "text"),
    ),
    "answer": (
        *("answer", "answers", "answerkey", "finalanswer", "correctanswer", "groundtruth", "gold", "goldanswer"),
        *("expectedanswer", "target", "targets", "label", "goldlabel", "output", "response", "completion", "solution"),
        *("messages", "conversations", "tests", "test", "expected", "expectedoutput", "ideal", "referenceanswer"),
        *("reference", "assistant", "gpt"),
    ),
    "choices": ("choices", "options", "endings"),
}
_BEFORE = {"instruction": "input", "context": "question", "passage": "question"}  # stands before it in the question
SPLITS = ("validation", "valid", "val", "development", "train")  # names of dev, the first that a file has
_ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}


def known_columns(rows: Iterable[object], columns: Columns, what: str) -> Columns:
    """`columns`, and the known columns for keys that neither it nor any row has; prints those (stderr)."""
    names: dict[str, str] = {}
    texts: dict[str, bool] = {}  # whether a column holds text throughout
    for row in rows:
        if isinstance(row, Mapping):
            for name, value in row.items():
                bare = re.sub(r"[\s_-]", "", str(name)).casefold()
                names[bare] = str(name)
                texts[bare] = texts.get(bare, True) and isinstance(value, str)
    found: dict[str, str | list[str]] = {}
    for key, known in KNOWN.items():
        name = next((names[name] for name in known if name in names), key)
        if key not in columns and name != key and name not in columns.values():
            found[key] = name
    asked = found.get("question", names.get("question"))
    for first, second in _BEFORE.items():
        both = [names.get(first, ""), names.get(second, "")]
        chunked = first != "instruction" and "contextchunks" in names
        if "question" not in columns and all(both) and asked in both and texts[first] and not chunked:
            found["question"] = both
    if found:
        tell(f"{what}: {', '.join(f'{key} is {_quoted(name)}' for key, name in found.items())}; task.columns overrules")
    return {**columns, **found}


def _quoted(name: str | list[str]) -> str:
    return " and ".join(f"'{one}'" for one in ([name] if isinstance(name, str) else name))


@cache  # one file is read several times in a search
def tell(text: str) -> None:
    """Print a line about a file to standard error, once."""
    print(text, file=sys.stderr)


def is_chat(value: object) -> bool:
    """Whether `value` is a list of turns: {"role": ..., "content": ...} or {"from": ..., "value": ...}."""
    return isinstance(value, list) and bool(value) and all(isinstance(t, Mapping) and _role(t) for t in value)


def chat_question(turns: Sequence[Mapping[str, object]]) -> str:
    """The question: all turns but a last one of the assistant, with their roles if the assistant replied before."""
    asked = turns[:-1] if _role(turns[-1]) == "assistant" else turns
    if any(_role(turn) == "assistant" for turn in asked):
        return "\n\n".join(f"{_role(turn).capitalize()}: {_said(turn)}" for turn in asked)
    return "\n\n".join(map(_said, asked))


def chat_answer(turns: Sequence[Mapping[str, object]]) -> str:
    """The last turn, which must be the assistant's, else TaskError."""
    if _role(turns[-1]) != "assistant":
        raise TaskError(f"the last turn is the {_role(turns[-1])}'s; the answer is a last turn of the assistant")
    return _said(turns[-1])


def _role(turn: Mapping[str, object]) -> str:
    role = str(turn.get("role") or turn.get("from") or "")
    return _ROLES.get(role, role)


def _said(turn: Mapping[str, object]) -> str:
    content = turn.get("content", turn.get("value"))
    if not isinstance(content, list):
        return str(content or "")
    parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
    if not all(isinstance(part, str) for part in parts):
        raise TaskError(f"a turn of the {_role(turn)} holds more than text (an image, a call); leave the row out")
    return "\n".join(map(str, parts))
