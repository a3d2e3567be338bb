"""When two answers are the same: as quantities, times, dates, lists, sets, mathematics, or else as words."""

from __future__ import annotations

import re

from hswarm.scorers.moment import date_of, time_of
from hswarm.scorers.normal import gold_answer, normal, plain
from hswarm.scorers.quantity import quantity, same_quantity
from hswarm.scorers.symbolic import equal, mathematical

_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_NAMED = re.compile(r"([A-Za-z])\s*=\s*(?=[^=])")
_SEPARATOR = re.compile(r"\s*;\s*|\s*,\s+(?:and\s+)?|,(?!\d{3}(?!\d))|\s+and\s+(?=[-\d])")
_AND = re.compile(rf"{_SEPARATOR.pattern}|\s+and\s+")


def same(stated: str, gold: str) -> bool:
    """Whether `stated` is the answer `gold`; by the rules in docs/tasks.md."""
    if stated.strip() == gold.strip():
        return bool(gold.strip())
    stated, gold = plain(stated).strip(), gold_answer(gold).strip()
    ours, theirs = _NAMED.match(stated), _NAMED.match(gold)
    if (ours or theirs) and not (ours and theirs and ours[1] != theirs[1]):
        stated, gold = stated[ours.end() :] if ours else stated, gold[theirs.end() :] if theirs else gold
    expected, found = quantity(gold), quantity(stated)
    if expected and found:
        return same_quantity(found, expected)
    if time := time_of(gold):
        return (clock := time_of(stated)) is not None and clock.same(time)
    if day := date_of(gold):
        return date_of(stated) == day
    return (not (expected or found) and _same_items(stated, gold)) or equal(stated, gold)


def _same_items(stated: str, gold: str) -> bool:
    """Lists in order, sets in any order; an interval's brackets must agree, a bare list has none."""
    (ours, found), (theirs, wanted) = _items(stated), _items(gold)
    if len(found) != len(wanted):
        (ours, found), (theirs, wanted) = _items(stated, _AND), _items(gold, _AND)
    if len(wanted) < 2 or len(found) != len(wanted):
        return _words(stated) == _words(gold)
    if ours != theirs and "" not in (ours, theirs):
        return False
    if "{}" in (ours, theirs):
        left = list(found)
        for item in wanted:
            match = next((one for one in left if same(one, item)), None)
            if match is None:
                return False
            left.remove(match)
        return True
    return all(same(one, item) for one, item in zip(found, wanted, strict=True))


def _words(text: str) -> str:
    """The normal form, and no spaces at the signs of mathematics: "2 x" and "2x", "x+1" and "x + 1"."""
    text = re.sub(r"([\^_]|\\[A-Za-z]+)\s*(?:\{(\w)\}|(?=\d))", r"\1\2", text.strip(" $").rstrip("."))
    return normal(re.sub(r"\s*([-+*/^=<>(){}\[\],\\])\s*", r"\1", text) if mathematical(text) else text)


def _items(text: str, separator: re.Pattern[str] = _SEPARATOR) -> tuple[str, list[str]]:
    """The brackets around a list ("" for none) and its items."""
    body, brackets = text.strip().rstrip(".").strip("$ "), ""
    if len(body) > 1 and body[0] in _BRACKETS and body[-1] in ")]}":
        brackets, body = body[0] + body[-1], body[1:-1]
    return brackets, [item for item in separator.split(body) if item.strip()]
