"""Regular expressions out of other people's files, tried within bounds: the matching of some would not end.

Python's own module cannot be stopped; the package `regex` reads the same expressions and takes a limit of time.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import regex

from hswarm.errors import UserError

_SECONDS = 0.5
_LONGEST, _REPEATS = 10_000, 10_000  # characters; what repeats like {50} multiply to, for `regex` writes some out


@lru_cache(256)
def compiled(pattern: str) -> Any:
    """The expression, whose methods take `timeout`. ValueError if it is none, or an enormous one."""
    if len(pattern) > _LONGEST or prod(max(1, int(n)) for n in re.findall(r"\{,?(\d{1,9})", pattern)) > _REPEATS:
        raise ValueError(
            f"the pattern {pattern[:40]!r} is too large: {_LONGEST:,} characters, and repeats that multiply to "
            f"{_REPEATS:,}, are the most"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about brackets that a later version may read otherwise
            return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as fault:
        raise ValueError(f"the pattern {pattern[:40]!r} is no regular expression: {fault}") from fault


def fullmatch(pattern: str, text: str) -> bool:
    """Whether `pattern` matches all of `text`. ValueError as `compiled`; UserError if it takes too long."""
    return _in_time(pattern, text, lambda one: one.fullmatch(text, timeout=_SECONDS)) is not None


def match(pattern: str, text: str) -> tuple[str | None, ...] | None:
    """The groups of the match at the start of `text`, None if there is none. Faults as of `fullmatch`."""
    found = _in_time(pattern, text, lambda one: one.match(text, timeout=_SECONDS))
    return None if found is None else found.groups()


def last_match(pattern: str, text: str) -> str | None:
    """The first group (or all) of the last match in `text`; None if there is none. Faults as of `fullmatch`."""
    matches = _in_time(pattern, text, lambda one: list(one.finditer(text, timeout=_SECONDS)))
    return (matches[-1][1 if compiled(pattern).groups else 0] or "").strip() if matches else None


def _in_time(pattern: str, text: str, tried: Callable[[Any], Any]) -> Any:
    try:
        return tried(compiled(pattern))
    except TimeoutError:
        raise UserError(
            f"the pattern {pattern[:60]!r} takes over {_SECONDS:g} s on {text[:30]!r} ({len(text)} characters); write "
            "it without repeats inside repeats"
        ) from None
