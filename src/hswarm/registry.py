"""Lookup of named parts: tables of "module:attribute" strings, imported only when used.

Another package adds a part by an entry point in the group `hswarm.<room>`, e.g. `hswarm.scorers`. Any part may also be
named as "module:attribute", which the user must allow (consent.py).
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoints, entry_points
from typing import Any

from hswarm.consent import check_python
from hswarm.errors import ConfigError


def near(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest of `known`, else a list of them all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there are: {', '.join(names)}" if names else ""


_all_plugins = cache(entry_points)  # looking reads every package's files: once a process


def _plugins(room: str) -> EntryPoints:
    """What other packages add to a room."""
    return _all_plugins().select(group=f"hswarm.{room}")


def names(room: str, table: Mapping[str, str]) -> list[str]:
    """All names that `lookup` finds in a room, plug-ins included."""
    return sorted({*table, *_plugins(room).names})


def listed(room: str, table: Mapping[str, str], text: str) -> list[str]:
    """The names of "a,b", unchecked, or of "all": the table's in its order, plug-ins last."""
    if text == "all":
        return [*table, *(name for name in names(room, table) if name not in table)]
    return [name.strip() for name in text.split(",") if name.strip()]


def check_name(room: str, table: Mapping[str, str], name: str) -> None:
    """ConfigError with the nearest name unless `name` is in the room. Imports nothing."""
    known = names(room, table)
    if name not in known and ":" not in name:
        raise ConfigError([f"no {room.removesuffix('s')} '{name}'{near(name, known)}"])


def lookup(room: str, table: Mapping[str, str], name: str) -> Any:
    """The part called `name`, imported now. Unknown names raise ConfigError with the nearest one."""
    check_name(room, table, name)
    if name in table:
        module, _, attribute = table[name].partition(":")
        return getattr(import_module(module), attribute)
    if ":" in name:
        return _imported(name)
    (point,) = _plugins(room).select(name=name)
    return point.load()


def _imported(name: str) -> Any:
    """What "module:attribute" names, if the user allows it; modules in the working folder are found too."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ConfigError([f"'{name}' cannot be imported; expected module:attribute"])
    check_python(name)
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as fault:
        raise ConfigError([f"'{name}' cannot be imported: {fault}; expected module:attribute"]) from fault
