"""Exact answer, strict: what the response states last is extracted, then compared in a normal form."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from fractions import Fraction

from hswarm.scorers.base import Score, accepted
from hswarm.tasks.task import Example

_NUMBER = re.compile(
    r"(?<![\w.])[-+]?\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?(?:[eE][-+]?\d+)?|[-+]?(?<![\w.])\.\d+"
)
_STATED = re.compile(r"(?:answer\s*(?:is|:|=)+|####|=>)\s*:?\s*", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_YES_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


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
    text = response.strip().replace("**", "")
    if boxed := _BOXED.findall(text):
        text = boxed[-1]
    elif stated := list(_STATED.finditer(text)):
        text = text[stated[-1].end() :].strip().split("\n")[0]
        if number(gold) is not None and (first := _NUMBER.search(text)):
            return first[0]
    if number(gold) is not None:
        found = [match[0] for match in _NUMBER.finditer(text)]
        return found[-1] if found else None
    if gold.strip().lower() in ("yes", "no"):
        words = _YES_NO.findall(text)
        return words[-1] if words else None
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return lines[-1] if lines else None


def same(stated: str, gold: str) -> bool:
    """Equal as numbers, or else as words without case, punctuation and articles."""
    expected = number(gold)
    if expected is not None:
        return number(stated) == expected
    return normal(stated) == normal(gold)


def number(text: str) -> Fraction | None:
    """The number that `text` is as a whole ("$1,200", "3.0", "1/2", "50%"), else None."""
    plain = text.strip().rstrip(".%").strip().replace(",", "").replace("$", "").replace(" ", "")
    if not re.fullmatch(r"[-+]?(?:\d+(?:\.\d+)?(?:/\d+)?|\.\d+)(?:[eE][-+]?\d{1,3})?", plain):
        return None
    above, slash, below = plain.partition("/")
    if slash and not float(below):
        return None
    return Fraction(above) / Fraction(below) if slash else Fraction(plain)


def normal(text: str) -> str:
    """Lower case, articles and outer punctuation gone, white space single; signs inside words stay."""
    words = _ARTICLES.sub(" ", text.lower()).split()
    kept = (word.strip(string.punctuation.replace("-", "").replace("+", "")) for word in words)
    return " ".join(word for word in kept if word)
