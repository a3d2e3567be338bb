"""The normal form of gold answers and replies: LaTeX, Unicode signs, currencies and degrees become plain text."""

from __future__ import annotations

import re
import string
import unicodedata
from functools import lru_cache

_REMEMBERED = 4096  # texts: experts give the same short replies again and again
_SIGNS = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2013\u2212\uff0d\ufe63", "-")
    | dict.fromkeys("\u2018\u2019\u02bc", "'")
    | dict.fromkeys("\u201c\u201d", '"')
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad")
    | {"\u03c0": r"\pi ", "\u221e": r"\infty ", "\u00d7": r"\times ", "\u00f7": "/", "\u2044": "/"}
)
_THIN = re.compile(r"(?<=\d)(?:[\u00a0\u2009\u202f]|\\[,;! ]|\{,\})(?=\d{3}(?!\d))")
_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|emph)\s*\{([^{}]*)\}")
_SPACING = re.compile(r"\\(?:left|right|displaystyle)(?![a-z])|(?<!\\)\\[()\[\]!]")
_PERCENT = re.compile(r"(?<=\d)\s*(?:per ?cent|pct)\b")
_SPACE = re.compile(r"(?<!\\)\\[,;: ]|\\q?quad(?![a-z])|~")
_FRACTION = re.compile(r"(\d\s*)?\\[dtc]?frac\s*(?:\{([^{}]+)\}|(\d))\s*(?:\{([^{}]+)\}|(\d))(?=(\s*[A-Za-z\\(^])?)")
_NUMERAL = re.compile(r"\s*-?[\d.,]+\s*")
_ROOT = re.compile("\u221a\\s*(?:(\\d+|[A-Za-z])|\\(([^()]*)\\))")
_RAISED = re.compile("[\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")
_PYTHON_POWER = re.compile(r"(?<=[\da-z)])\*\*(?=[({]?-?\d)")
_TAG = re.compile(r"</?(?:answer|b|br|code|em|i|p|span|strong|sub|u)\s*/?>")
_RAISED_TAG = re.compile(r"<sup>\s*([-+\w]+)\s*</sup>", re.IGNORECASE)
_TEN = r"10\s*\^\s*(?:\{\s*)?([-+]?\d{1,3})(?:\s*\})?(?!\d|\.\d)"
_POWER = re.compile(rf"(?<=\d)\s*(?:\\times|\\cdot|\*|x|\u00b7)\s*{_TEN}")
_POWER_ALONE = re.compile(rf"(?<![\w.^{{*/]){_TEN}")
_DEGREES = re.compile(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\u00b0|\\degree)\s*([CF]\b)?")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_JOINT = re.compile(r"[\s$]*(?:,|;|and|or|,\s*and|,\s*or)[\s$]*")
_OUTER = "".join(sign for sign in string.punctuation if sign not in "-+#")
_LEADING = _OUTER.replace(".", "").replace("@", "")


def untagged(text: str) -> str:
    """`text` without HTML marks, <answer> as "answer:", and with straight quotes."""
    if not text.isascii():
        text = "".join(map(_character, text)).translate(_SIGNS)
    if "<" not in text:
        return text
    return _TAG.sub("", _RAISED_TAG.sub(r"^\1", re.sub(r"<answer>\s*", "answer: ", text, flags=re.IGNORECASE)))


@lru_cache(_REMEMBERED)
def plain(text: str) -> str:
    """`text` without bold marks and LaTeX; signs, fractions, powers of ten and degrees in one spelling."""
    text = unicodedata.normalize("NFC", text)
    text = untagged(_RAISED.sub(lambda found: "^" + unicodedata.normalize("NFKC", found[0]), text)).strip()
    text = _ROOT.sub(lambda found: f"\\sqrt{{{found[1] or found[2]}}}", text)
    text = _PYTHON_POWER.sub("^", text).replace("**", "")
    text = text.replace("\\$", "$").replace("\\%", "%").replace("\\{", "{").replace("\\}", "}")
    text = _SPACE.sub(" ", _SPACING.sub("", _COMMAND.sub(r"\1", _THIN.sub("", text))))
    text = _POWER_ALONE.sub(r"1e\1", _POWER.sub(r"e\1", _FRACTION.sub(_fraction, text)))
    text = _PERCENT.sub("%", text)
    return _DEGREES.sub(lambda found: {"C": " celsius", "F": " fahrenheit"}.get(found[1] or "", " degrees"), text)


def _character(character: str) -> str:
    if "\uff01" <= character <= "\uff5e":  # full-width forms
        return unicodedata.normalize("NFKC", character)
    if unicodedata.decomposition(character).startswith("<fraction>"):
        return " " + unicodedata.normalize("NFKC", character).replace("\u2044", "/")
    return character


def _fraction(found: re.Match[str]) -> str:
    above, below = found[2] or found[3], found[4] or found[5]
    if found[6] or not (_NUMERAL.fullmatch(above) and _NUMERAL.fullmatch(below)):
        return f"{found[1] or ''}\\frac{{{above}}}{{{below}}}"  # part of an expression
    return f"{found[1].strip()} {above}/{below}" if found[1] else f"{above}/{below}"


def boxed(text: str) -> str | None:
    r"""What the last closed \boxed{...} of `text` holds, braces inside it balanced; boxes in a row make a list."""
    held: list[str] = []
    after = len(text)
    for found in reversed(list(_BOXED.finditer(text))):
        end = _closing(text, found.end())
        if end is None or end > after:
            continue
        if held and not _JOINT.fullmatch(text, end + 1, after):
            break
        held.insert(0, text[found.end() : end])
        after = found.start()
    return ", ".join(held) if held else None


def _closing(text: str, start: int) -> int | None:
    """The place of the brace that closes the one before `start`."""
    depth = 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return place
    return None


def gold_answer(gold: str) -> str:
    r"""The answer inside a gold that is a whole solution: in \boxed{} or after GSM8k's "####"; else all of it."""
    held = boxed(gold)
    if held is None:
        held = gold.rpartition("####")[2]
    return plain(held) or gold.strip()


def normal(text: str) -> str:
    """Lower case, articles and outer punctuation gone, white space single; signs inside words stay.

    Text of nothing but articles or punctuation stays as it is: it is the answer itself.
    """
    words = _ARTICLES.sub(" ", text.lower()).split()
    kept = (word.rstrip(_OUTER).lstrip(_LEADING) for word in words)
    return " ".join(word for word in kept if word) or " ".join(text.lower().split()).strip(_OUTER) or text.strip()
