"""Times of day and dates, as people write them."""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

_TIME = re.compile(r"([01]?\d|2[0-4])(?::([0-5]\d))?(?::([0-5]\d))?\s*([ap])?\.?(?(4)m\.?)", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_DAY_FIRST = re.compile(rf"(?:the )?{_DAY}(?: of)? {_MONTH},? (\d{{4}})")
_MONTH_FIRST = re.compile(rf"{_MONTH} {_DAY},? (\d{{4}})")


class Time(NamedTuple):
    """Hours as written, minutes, seconds, and "a" or "p" of am and pm, "" without."""

    hours: int
    minutes: int
    seconds: int
    half: str

    def same(self, other: Time) -> bool:
        """Equal on a clock of 24 hours; am and pm count where both say them or the hours tell them apart."""
        if self[1:3] != other[1:3]:
            return False
        if bool(self.half) == bool(other.half) or max(self.hours, other.hours) > 12:
            return self._of_day() == other._of_day()
        return self.hours == other.hours

    def _of_day(self) -> int:
        return self.hours % 12 + 12 * (self.half == "p") if self.half else self.hours


def time_of(text: str) -> Time | None:
    """The time that `text` is as a whole ("10:05", "10:05:30", "3 pm", "3:00 p.m."), else None."""
    found = _TIME.fullmatch(text.strip().rstrip("."))
    if found is None or not (found[2] or found[4]) or (found[4] and int(found[1]) > 12):
        return None
    return Time(int(found[1]), int(found[2] or 0), int(found[3] or 0), (found[4] or "").lower())


def date_of(text: str) -> date | None:
    """The date that `text` is as a whole ("2020-01-05", "5 January 2020", "Jan. 5th, 2020"), else None.

    Dates of numbers and slashes are none: which is the month differs by country.
    """
    text = " ".join(text.lower().rstrip(".").split())
    try:
        if found := _ISO.fullmatch(text):
            return date(*map(int, found.groups()))
        if found := _DAY_FIRST.fullmatch(text):
            return date(int(found[3]), 1 + _MONTHS.index(found[2][:3]), int(found[1]))
        if found := _MONTH_FIRST.fullmatch(text):
            return date(int(found[3]), 1 + _MONTHS.index(found[1][:3]), int(found[2]))
    except ValueError:
        return None
    return None
