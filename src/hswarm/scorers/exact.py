"""Exact answer, strict: what the response states last is extracted, then compared in a normal form."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hswarm.prompts import spoken
from hswarm.scorers.base import Score, accepted
from hswarm.scorers.normal import boxed, gold_answer, plain, quantity, same
from hswarm.tasks.task import Example

# A mixed number, groups of thousands, a fraction or a decimal; no part of a time, a date or a range.
_NUMBER = re.compile(
    r"(?<![\w.])(?<!\d[:-])[-+]?\$?(?:\d+ +\d+\s*/\s*\d+|(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+(?!\d)|\d+)(?:\.\d+)?"
    r"(?:\s*/\s*\d+)?(?:[eE][-+]?\d+)?)(?![:-]\d)(?!\d)|[-+]?(?<![\w.])\.\d+"
)
_STATED = re.compile(r"(?:answer[\"'*_]*\s*(?:is|:|=)+|####|=>)\s*:?\s*", re.IGNORECASE)
_YES_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
# A "no" before a noun ("no gap") states nothing: a statement begins or ends its clause.
_SAYS = re.compile(r"(?:^|[.!?:;\n])\s*(yes|no)\b|\b(yes|no)\s*(?=[.,;:!?\n)]|$)", re.IGNORECASE)
_UNIT = re.compile(r"\s*(?!(?:and|as|at|because|but|for|from|if|in|is|of|on|or|since|so|to)\b)([^\W\d_]+)\b")


def exact(examples: Sequence[Example], responses: Sequence[str]) -> list[Score]:
    """1 where the stated answer equals the example's, else 0."""
    scores = []
    for example, response in zip(examples, responses, strict=True):
        stated = stated_answer(response, example.answer)
        right = stated is not None and any(same(stated, answer) for answer in accepted(example))
        scores.append(Score(float(right), stated is not None, stated or ""))
    return scores


def stated_answer(response: str, gold: str) -> str | None:
    r"""What `response` states last, of the kind of `gold`: after "answer is", "####" or in \boxed{}, else its end."""
    reply, gold = spoken(response), gold_answer(gold)
    held = boxed(reply)
    text = plain(reply if held is None else held)
    numeric = quantity(gold) is not None
    if held is None and (stated := list(_STATED.finditer(text))):
        text = text[stated[-1].end() :].strip().split("\n")[0]
        if numeric and (first := _NUMBER.search(text)):
            return _with_unit(first)
    if numeric:
        found = list(_NUMBER.finditer(text))
        return _with_unit(found[-1]) if found else None
    if gold.strip().lower() in ("yes", "no"):
        words = [begins or ends for begins, ends in _SAYS.findall(text)] or _YES_NO.findall(text)
        return words[-1] if words else None
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return lines[-1] if lines else None


def _with_unit(match: re.Match[str]) -> str:
    """The number found, with the word after it unless that is no unit."""
    unit = _UNIT.match(match.string, match.end())
    return match[0] if unit is None else f"{match[0]} {unit[1]}"
