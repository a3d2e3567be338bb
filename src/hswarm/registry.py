"""Lookup of named parts: tables of "module:attribute" strings, imported only when used.

Another package adds a part by an entry point in the group `hswarm.<room>`, e.g. `hswarm.scorers`. Any part may also be
named as "module:attribute".
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from hswarm.errors import ConfigError


def near(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest of `known`, else a list of them all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there are: {', '.join(names)}" if names else ""


def names(room: str, table: Mapping[str, str]) -> list[str]:
    """All names that `lookup` finds in a room, plug-ins included."""
    return sorted({*table, *(point.name for point in entry_points(group=f"hswarm.{room}"))})


def check_name(room: str, table: Mapping[str, str], name: str) -> None:
    """ConfigError with the nearest name unless `name` is in the room. Imports nothing."""
    if name in table or ":" in name:  # plug-ins are looked for only where they matter: that reads the disk
        return
    if name not in (known := names(room, table)):
        raise ConfigError([f"no {room.removesuffix('s')} '{name}'{near(name, known)}"])


def lookup(room: str, table: Mapping[str, str], name: str) -> Any:
    """The part called `name`, imported now. Unknown names raise ConfigError with the nearest one."""
    check_name(room, table, name)
    if name in table:
        module, _, attribute = table[name].partition(":")
        return getattr(import_module(module), attribute)
    if ":" in name:
        return _imported(name)
    (point,) = entry_points(group=f"hswarm.{room}", name=name)
    return point.load()


def _imported(name: str) -> Any:
    """What "module:attribute" names; modules in the working folder are found too."""
    module, _, attribute = name.partition(":")
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as fault:
        raise ConfigError([f"'{name}' cannot be imported: {fault}; expected module:attribute"]) from fault
