"""One normal form for gold answers and replies: LaTeX, Unicode signs, currencies and degrees become plain text."""

from __future__ import annotations

import re
import string
import unicodedata
from fractions import Fraction

_MINUS = str.maketrans(dict.fromkeys("\u2010\u2011\u2212\uff0d\ufe63", "-"))
_THIN = re.compile(r"(?<=\d)(?:[\u00a0\u2009\u202f]|\\[,;! ]|\{,\})(?=\d{3}(?!\d))")
_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_SPACING = re.compile(r"\\(?:left|right)(?![a-z])|\\[,;!:()\[\]]")
_FRACTION = re.compile(r"(\d\s*)?\\[dtc]?frac\s*(?:\{([^{}]+)\}|(\d))\s*(?:\{([^{}]+)\}|(\d))")
_POWER = re.compile(r"(?<=\d)\s*(?:\u00d7|\\times|\\cdot|\*|x)\s*10\s*\^\s*\{?\s*([-+]?\d{1,3})\s*\}?")
_DEGREES = re.compile(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\u00b0|\\degree)\s*([CF]\b)?")
_CURRENCIES = {"\u20ac": "euro", "\u00a3": "pound", "\u00a5": "yen"}
_BEFORE = re.compile(r"([\u20ac\u00a3\u00a5])\s*(\d[\d,]*(?:\.\d+)?)")
_AFTER = re.compile(r"(?<=\d)\s*([\u20ac\u00a3\u00a5])")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_WHOLE = r"(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d+)"
_VALUE = re.compile(
    rf"([-+]?)\$?\s?(?:(\d+)[ ]+(\d+)\s*/\s*(\d+)|({_WHOLE})\s*/\s*({_WHOLE})"
    rf"|({_WHOLE}(?:\.\d+)?|\.\d+)([eE][-+]?\d{{1,3}})?)\s*\$?%?"
)
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


def plain(text: str) -> str:
    """`text` without bold marks and LaTeX; signs, fractions, powers, currencies and degrees in one spelling."""
    text = "".join(map(_character, text.strip().translate(_MINUS))).replace("**", "")
    text = text.replace("\\$", "$").replace("\\%", "%").replace("\\{", "{").replace("\\}", "}")
    text = _SPACING.sub("", _COMMAND.sub(r"\1", _THIN.sub("", text)))
    text = _POWER.sub(r"e\1", _FRACTION.sub(_fraction, text))
    text = _DEGREES.sub(lambda found: {"C": " celsius", "F": " fahrenheit"}.get(found[1] or "", " degrees"), text)
    text = _BEFORE.sub(lambda found: f"{found[2]} {_CURRENCIES[found[1]]}", text)
    return _AFTER.sub(lambda found: f" {_CURRENCIES[found[1]]}", text)


def _character(character: str) -> str:
    if "\uff01" <= character <= "\uff5e":  # full-width forms
        return unicodedata.normalize("NFKC", character)
    if unicodedata.decomposition(character).startswith("<fraction>"):
        return " " + unicodedata.normalize("NFKC", character).replace("\u2044", "/")
    return character


def _fraction(found: re.Match[str]) -> str:
    above, below = found[2] or found[3], found[4] or found[5]
    return f"{found[1].strip()} {above}/{below}" if found[1] else f"{above}/{below}"


def boxed(text: str) -> str | None:
    r"""What the last closed \boxed{...} of `text` holds, with braces inside it balanced."""
    for found in reversed(list(_BOXED.finditer(text))):
        depth = 1
        for place in range(found.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if not depth:
                return text[found.end() : place]
    return None


def gold_answer(gold: str) -> str:
    r"""The answer inside a gold that is a whole solution: in \boxed{} or after GSM8k's "####"; else all of it."""
    held = boxed(gold)
    if held is None:
        held = gold.rpartition("####")[2]
    return plain(held) or gold.strip()


def number(text: str) -> Fraction | None:
    """The number that `text` is as a whole ("$1,200", "1 234", "3.0", "1/2", "1 1/2", "50%", "1.5e3"), else None."""
    found = _VALUE.fullmatch(plain(text).rstrip(".").strip().replace("+$", "$"))
    if found is None:
        return None
    sign = -1 if found[1] == "-" else 1
    whole, above, below = (_digits(found[i]) for i in (2, 3, 4))
    if found[5]:
        above, below = _digits(found[5]), _digits(found[6])
    if found[7]:
        return sign * Fraction(_digits(found[7]) + (found[8] or ""))
    return sign * (int(whole or 0) + Fraction(int(above), int(below))) if int(below) else None


def _digits(text: str | None) -> str:
    return (text or "").replace(",", "").replace(" ", "")


def quantity(text: str) -> tuple[Fraction, str] | None:
    """A number and its unit, "" if it has none: "30 minutes", "$5"; None for anything else."""
    value = number(text)
    if value is not None:
        return value, ""
    first, _, unit = plain(text).strip().rstrip(".").rpartition(" ")
    value = number(first)
    return (value, unit) if value is not None and unit.isalpha() else None


def normal(text: str) -> str:
    """Lower case, articles and outer punctuation gone, white space single; signs inside words stay.

    Text of nothing but articles or punctuation stays as it is: it is the answer itself.
    """
    words = _ARTICLES.sub(" ", text.lower()).split()
    kept = (word.strip(string.punctuation.replace("-", "").replace("+", "")) for word in words)
    return " ".join(word for word in kept if word) or " ".join(text.lower().split())


def same(stated: str, gold: str) -> bool:
    """Equal as numbers, of one unit where both have one; as lists item by item; or else as words."""
    gold = gold_answer(gold)
    expected = quantity(gold)
    if expected is None:
        return _same_items(plain(stated), gold)
    found = quantity(stated)
    if found is None or found[0] != expected[0]:
        return False
    ours, theirs = sorted((found[1].lower(), expected[1].lower()), key=len)
    return not ours or theirs in (ours, f"{ours}s", f"{ours}es")


def _same_items(stated: str, gold: str) -> bool:
    """Lists in order, sets in any order; an interval's brackets must agree, a bare list has none."""
    (ours, found), (theirs, wanted) = _items(stated), _items(gold)
    if len(wanted) < 2 or len(found) != len(wanted):
        return normal(stated) == normal(gold) and number(stated) is None
    if ours != theirs and "" not in (ours, theirs):
        return False
    if theirs == "{}":
        left = list(found)
        for item in wanted:
            match = next((one for one in left if same(one, item)), None)
            if match is None:
                return False
            left.remove(match)
        return True
    return all(same(one, item) for one, item in zip(found, wanted, strict=True))


def _items(text: str) -> tuple[str, list[str]]:
    """The brackets around a list ("" for none) and its items."""
    body, brackets = text.strip().rstrip(".").strip("$ "), ""
    if len(body) > 1 and body[0] in _BRACKETS and body[-1] in ")]}":
        brackets, body = body[0] + body[-1], body[1:-1]
    items = re.split(r"\s*;\s*|\s*,\s+(?:and\s+)?|,(?!\d{3}(?!\d))|\s+and\s+(?=[-\d])", body)
    return brackets, [item for item in items if item.strip()]
