"""Quantities: a number, and its unit or currency, as people write them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from hswarm.scorers.normal import plain

_WHOLE = r"(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+(?!\d)|\d+)"
_MIXED = r"(\d+)[ ]+(\d+)\s*/\s*(\d+)"
_VALUE = rf"([-+]?)\s?(?:{_MIXED}|({_WHOLE})\s*/\s*({_WHOLE})|({_WHOLE}(?:\.\d*)?|\.\d+)(?:[eE]([-+]?\d{{1,3}}))?)"
_ALONE = re.compile(rf"{_VALUE}(?:\s*(%))?")
_CURRENCY = r"(US ?\$|\$|\u20ac|\u00a3|\u00a5|\u20b9|USD|EUR|GBP|JPY|INR|CNY|Rs\.?)"
_BEFORE = re.compile(rf"([-+]?){_CURRENCY}\s*(?=[-+.\d])")
_LONGEST = 300  # characters: more digits are no quantity, and Python converts at most 4,300
_NAMES = {
    **dict.fromkeys(("$", "us$", "us $", "usd", "dollar", "dollars", "buck", "bucks"), "dollar"),
    **dict.fromkeys(("\u20ac", "eur", "euro", "euros"), "euro"),
    **dict.fromkeys(("\u00a3", "gbp", "pound", "pounds"), "pound"),
    **dict.fromkeys(("\u00a5", "jpy", "yen"), "yen"),
    **dict.fromkeys(("\u20b9", "inr", "rs", "rs.", "rupee", "rupees"), "rupee"),
    **dict.fromkeys(("cny", "yuan"), "yuan"),
}
_LONG = {  # units of several letters: known where they touch the number, and when two are joined
    "mm": "millimeter",
    "cm": "centimeter",
    "km": "kilometer",
    "ft": "foot",
    "feet": "foot",
    "inches": "inch",
    "yd": "yard",
    "mi": "mile",
    "mg": "milligram",
    "kg": "kilogram",
    "lb": "pound",
    "lbs": "pound",
    "oz": "ounce",
    "ml": "milliliter",
    "min": "minute",
    "mins": "minute",
    "sec": "second",
    "secs": "second",
    "ms": "millisecond",
    "hr": "hour",
    "hrs": "hour",
    "kwh": "kwh",
    "hz": "hertz",
    "mph": "mile/hour",
    "kmh": "kilometer/hour",
    "kph": "kilometer/hour",
    "deg": "degree",
}
_SHORT = {"m": "meter", "g": "gram", "s": "second", "h": "hour", "l": "liter", "c": "celsius", "f": "fahrenheit"}
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_TOUCHING = {"k": 10**3, "K": 10**3, "M": 10**6, "bn": 10**9, "B": 10**9}
_TOUCH = ("%", "st", "nd", "rd", "th", "m", "g", "s", "h", "l")
_WORD = r"(?:[^\W\d_]+|\$|\u20ac|\u00a3|\u00a5|\u20b9)"
_NO_UNIT = r"(?!(?:a\.?m|p\.?m|and|as|at|because|but|for|from|if|in|is|of|on|or|since|so|to|which|when|x|times)\b)"
_UNIT = re.compile(
    rf"\s*(%|{_NO_UNIT}(?:(?:square|cubic|sq\.?|cu\.?)\s+)?{_WORD}(?:\s*\^\s*\{{?-?\d\}}?|\s+(?:squared|cubed))?"
    rf"(?:\s*(?:/|\u00b7|\\cdot\b|\bper\b)\s*(?:square\s+)?[^\W\d_]+(?:\s*\^\s*\{{?-?\d\}}?)?){{0,3}})(?![\w^(])"
)


class Quantity(NamedTuple):
    """A value and its unit in one spelling, "" without one. A percent sign is a unit: nothing is divided."""

    value: Fraction
    unit: str


def number(text: str) -> Fraction | None:
    """The number that `text` is as a whole ("1,200", "1 234", "3.0", "1/2", "1 1/2", "1.5e3", "50%", "$5"), or None."""
    found = quantity(text)
    return found.value if found is not None and found.unit in ("", "%", "dollar") else None


def quantity(text: str) -> Quantity | None:
    """A number and its unit ("30 minutes", "\u20ac5", "5 m/s", "$5$"); None for anything else."""
    text = plain(text).strip().strip("`*\"'").rstrip(".").strip()
    if len(text) > _LONGEST:
        return None
    if len(text) > 1 and text[0] == text[-1] == "$":
        text = text.strip("$").strip()
    sign = re.match(_BEFORE, text)
    if sign:
        text = sign[1] + text[sign.end() :]
    found = _ALONE.match(text)
    value = _value(found) if found else None
    if found is None or value is None:
        return None
    rest, unit = text[found.end() :], found[9] or (_NAMES[sign[2].lower()] if sign else "")
    value, rest = _scaled(value, rest)
    if not rest.strip(" $"):
        return Quantity(value, unit)
    named = _UNIT.fullmatch(rest.rstrip(" $") or rest) or _UNIT.fullmatch(rest)
    if named is None or (not rest[0].isspace() and not _may_touch(named[1])):
        return None
    unit = _unit(named[1])
    return Quantity(value, unit) if unit != named[1].lower() or not named[1][0].isupper() else None  # "2 Fast 2"


def unit_after(text: str, place: int) -> str:
    """The text of the unit that stands at `place` of `text`, behind a number; "" if none does."""
    scale = re.compile(rf"\s*(?:{'|'.join(_SCALES)})\b|(?:k|K|M|bn|B)\b").match(text, place)
    start = scale.end() if scale else place
    found = _UNIT.match(text, start)
    if found and (found.start(1) > start or _may_touch(found[1])):
        return text[place : found.end()]
    return text[place:start]


def same_quantity(one: Quantity, other: Quantity) -> bool:
    """Equal values, of one unit where both have one; units are not converted."""
    return one.value == other.value and (not one.unit or not other.unit or _same_unit(one.unit, other.unit))


def _value(found: re.Match[str]) -> Fraction | None:
    sign = -1 if found[1] == "-" else 1
    whole, above, below = (_digits(found[i]) for i in (2, 3, 4))
    if found[5]:
        above, below = _digits(found[5]), _digits(found[6])
    if not found[7]:
        return sign * (int(whole or 0) + Fraction(int(above), int(below))) if int(below) else None
    return sign * Fraction(_digits(found[7]).rstrip(".") or "0") * Fraction(10) ** int(found[8] or 0)


def _digits(text: str | None) -> str:
    return (text or "").replace(",", "").replace(" ", "")


def _scaled(value: Fraction, rest: str) -> tuple[Fraction, str]:
    """With "million" and the like behind the number multiplied in."""
    word = re.match(r"\s*([A-Za-z]+)\b", rest)
    if word is None:
        return value, rest
    times = _TOUCHING.get(word[1], 0) if not rest[0].isspace() else _SCALES.get(word[1].lower(), 0)
    return (value * times, rest[word.end() :]) if times else (value, rest)


def _may_touch(unit: str) -> bool:
    """Whether `unit` may follow its number without a space: "5km", "5m/s", "3rd"; not "5x"."""
    first = re.split(r"[\s/^]", unit.lower())[0]
    return first in _LONG or first in _NAMES or first in _TOUCH or "/" in unit or unit[0] in "CFJLNVW"


def _unit(text: str) -> str:
    """One spelling of a unit: singular, powers as ^2, quotients with /."""
    text = re.sub(r"\b(?:square|sq\.?)\s+(\w+)", r"\1^2", text.lower().strip())
    text = re.sub(r"\b(?:cubic|cu\.?)\s+(\w+)", r"\1^3", text)
    text = re.sub(r"\s+squared\b", "^2", re.sub(r"\s+cubed\b", "^3", text))
    text = re.sub(r"\s*(?:\u00b7|\\cdot)\s*", "*", text)
    text = re.sub(r"\s*\bper\b\s*", "/", re.sub(r"[{}\s]*([/^])[{}\s]*", r"\1", text)).rstrip("}")
    return re.sub(r"[^\W\d_]+|[^\w\s/^.-]", lambda word: _one(word[0]), text)


def _one(word: str) -> str:
    return _NAMES.get(word) or _LONG.get(word) or _SHORT.get(word) or word


def _same_unit(one: str, other: str) -> bool:
    """Equal, word by word, in singular or plural."""
    pairs = [re.split(r"([/^* ])", unit) for unit in (one, other)]
    return len(pairs[0]) == len(pairs[1]) and all(map(_same_word, *pairs))


def _same_word(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return long in (short, f"{short}s", f"{short}es", f"{short.removesuffix('y')}ies")
