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
# A "no" before a noun ("no gap") states nothing: a statement begins or ends its clause.
_SAYS = re.compile(r"(?:^|[.!?:;\n])\s*(yes|no)\b|\b(yes|no)\s*(?=[.,;:!?\n)]|$)", re.IGNORECASE)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]+)\}\s*\{([^{}]+)\}")
_COMMAND = re.compile(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}")
_SPACING = re.compile(r"\\(?:left|right|[,;!:])")
_UNIT = re.compile(r"\s*(?!(?:and|as|at|because|but|for|from|if|in|is|of|on|or|since|so|to)\b)([^\W\d_]+)\b")
_BLANKS = str.maketrans("", "", "$ \u00a0\u2009\u202f")
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
    text = _plain(response)
    if boxed := _BOXED.findall(text):
        text = boxed[-1]
    elif stated := list(_STATED.finditer(text)):
        text = text[stated[-1].end() :].strip().split("\n")[0]
        if _quantity(gold) and (first := _NUMBER.search(text)):
            return _with_unit(first)
    if _quantity(gold):
        found = list(_NUMBER.finditer(text))
        return _with_unit(found[-1]) if found else None
    if gold.strip().lower() in ("yes", "no"):
        words = [begins or ends for begins, ends in _SAYS.findall(text)] or _YES_NO.findall(text)
        return words[-1] if words else None
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return lines[-1] if lines else None


def same(stated: str, gold: str) -> bool:
    """Equal as numbers, of one unit where both have one, or else as words without case, punctuation and articles."""
    expected = _quantity(gold)
    if expected is None:
        return normal(stated) == normal(gold)
    found = _quantity(stated)
    if found is None or found[0] != expected[0]:
        return False
    ours, theirs = sorted((found[1].lower(), expected[1].lower()), key=len)
    return not ours or theirs in (ours, f"{ours}s", f"{ours}es")


def _plain(response: str) -> str:
    """`response` without bold marks and LaTeX around words and fractions."""
    text = _SPACING.sub("", response.strip().replace("**", "").replace("\\$", "$").replace("\\%", "%"))
    return _FRACTION.sub(r"\1/\2", _COMMAND.sub(r"\1", text))


def _with_unit(match: re.Match[str]) -> str:
    """The number found, with the word after it unless that is no unit."""
    unit = _UNIT.match(match.string, match.end())
    return match[0] if unit is None else f"{match[0]} {unit[1]}"


def _quantity(text: str) -> tuple[Fraction, str] | None:
    """A number and its unit, "" if it has none: "30 minutes", "$5"; None for anything else."""
    plain = text.strip().rstrip(".")
    value = number(plain)
    if value is not None:
        return value, ""
    first, _, unit = plain.rpartition(" ")
    value = number(first)
    return (value, unit) if value is not None and unit.isalpha() else None


def number(text: str) -> Fraction | None:
    """The number that `text` is as a whole ("$1,200", "3.0", "1/2", "50%"), else None."""
    plain = text.strip().rstrip(".%").strip().replace(",", "").translate(_BLANKS)
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
