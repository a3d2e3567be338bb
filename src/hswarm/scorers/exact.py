"""Exact answer, strict: what the response states last is extracted, then compared in a normal form."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hswarm.scorers.base import Score, accepted, scorer
from hswarm.scorers.equality import same
from hswarm.scorers.normal import boxed, gold_answer, plain
from hswarm.scorers.quantity import quantity, unit_after
from hswarm.scorers.symbolic import mathematical
from hswarm.tasks.task import Example

# A mixed number, groups of thousands, a fraction or a decimal; no part of a time, a date or a range.
_BARE = (
    r"[-+]?(?:US ?\$|[$\u20ac\u00a3\u00a5\u20b9])?[-+]?"
    r"(?:\d+ +\d+\s*/\s*\d+|(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+(?!\d)|\d+)(?:\.\d+)?"
    r"(?:\s*/\s*\d+)?(?:[eE][-+]?\d+)?)(?![:-]\d)(?!\d)"
)
_NUMBER = re.compile(rf"(?<![\w.])(?<!\d[:-]){_BARE}|[-+]?(?<![\w.])\.\d+")
_COMMAND = r"\\(?:times|cdot|div|sqrt|frac|pi|log|ln|sin|cos|tan|pm|binom|alpha|beta|theta|infty)(?![a-z])"
# Beside these a number is part of an expression: "2x", "x^2", "3 + 4", "2\pi".
_RELATION = r"(?<![-=])[<>]=?|[\u2264\u2265\u2260]|\\(?:[lg]eq?q?|[lg]t|neq?)"
_EXPRESSION_BEFORE = re.compile(rf"(?:{_RELATION}|[\^_]\{{?|[*/+]|\w\{{|[\d)\w] -|{_COMMAND}(?:_\{{?\w+\}}?)?\{{?)\s*$")
_EXPRESSION_AFTER = re.compile(rf"[^\W\d_]|[_(]|\s*(?:\^|\*(?!\*)|/|\+|- ?[\d(]|{_COMMAND})")
_SEPARATED = r"\s*(?:,\s*(?:and|or)\b|[,;&]|\band\b|\bor\b)\s*"
_LIST = re.compile(rf"(?:{_BARE}{_SEPARATED})+{_BARE}")
_STATED = re.compile(r"(?:answer[\"'*_]*\s*(?:is|:|=)+|####|=>)\s*:?\s*", re.IGNORECASE)
_PAIRS = (("yes", "no"), ("true", "false"))
_MATHEMATICS = re.compile(r"\$\$?([^$]+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[^\W\d_]{4})[.!?]\s+(?=[A-Z])|,?\s+(?:because|since)\b")


@scorer("exact", "The answer that the response states last, compared by kind", states="{}")
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
    gold, held = gold_answer(gold), boxed(response)
    text = plain(response if held is None else held)
    marked = held is not None
    if held is None and (stated := list(_STATED.finditer(text))):
        text, marked = text[stated[-1].end() :].strip().split("\n")[0], True
    if quantity(gold) is not None:
        return _stated_number(text, marked)
    for words in _PAIRS:
        if gold.strip().lower() in words:
            return _stated_word(text, "|".join(words))
    if mathematical(gold) and held is None and (spans := _MATHEMATICS.findall(text if marked else response)):
        return plain(next(filter(None, spans[-1])))
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        return None
    return _SENTENCE.split(lines[-1])[0].strip() or lines[-1] if marked and held is None else lines[-1]


def _stated_number(text: str, marked: bool) -> str | None:
    """The first number of a statement that is `marked`, else the last one, with its unit; a list of numbers whole.

    A number inside an expression is none: of "2^{10}" the expression is stated.
    """
    line = next((line.strip() for line in reversed(text.split("\n")) if line.strip()), "")
    if quantity(line) is not None:
        return line
    if listed := _listed(line, marked):
        return listed
    numbers = [found for found in _NUMBER.finditer(text) if not _in_expression(text, found)]
    if numbers:
        found = numbers[0 if marked and "=" not in line else -1]
        stated = found[0] + unit_after(text, found.end())
        return stated if quantity(stated) else found[0]
    return line if mathematical(line.rstrip(".")) else None


def _in_expression(text: str, found: re.Match[str]) -> bool:
    if _EXPRESSION_BEFORE.search(text, max(0, found.start() - 20), found.start()):
        return True
    unit = unit_after(text, found.end())
    return _EXPRESSION_AFTER.match(text, found.end() + len(unit)) is not None


def _listed(line: str, marked: bool) -> str | None:
    """A list of numbers that the statement is, or that ends an unmarked line: "5, 6", "5 or 6"."""
    for found in _LIST.finditer(line):
        ends = not line[found.end() :].strip(" .!)]}$%")
        if ends if not marked else not line[: found.start()].strip(" ([{$=") or ends:
            return line if line[: found.start()].strip() == "" else found[0]
    return None


def _stated_word(text: str, words: str) -> str | None:
    """The one of two words stated last. A "no" before a noun ("no gap") states nothing: it begins or ends a clause."""
    says = rf"(?:^|[.!?:;\n])\s*({words})\b|\b({words})\s*(?=[.,;:!?\n)]|$)"
    found = [begins or ends for begins, ends in re.findall(says, text, re.IGNORECASE)]
    found = found or re.findall(rf"\b({words})\b", text, re.IGNORECASE)
    return found[-1] if found else None
