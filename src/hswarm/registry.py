"""Lookup of named parts, imported only when used.

A part is declared where it is defined, by its room's decorator; a `Room` finds the declarations by reading the files of
its package, so that listing names imports nothing. (Rooms without a decorator keep tables of "module:attribute".)
Another package adds a part by an entry point in the group `hswarm.<room>`, e.g. `hswarm.scorers`. Any part may also be
named as "module:attribute", which the user must allow (consent.py).
"""

from __future__ import annotations

import ast
import difflib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Any, TypeVar

from hswarm.consent import check_python
from hswarm.errors import ConfigError

_T = TypeVar("_T")


@dataclass(frozen=True)
class Part:
    """What a decorator declares about a part: its name, one line about it, a paper or URL, the extras that it needs."""

    name: str
    about: str = ""
    paper: str = ""
    extras: tuple[str, ...] = ()
    place: str = ""  # module:attribute


class Room:
    """The parts of one package, and the decorator that declares them.

    >>> method = Room("methods", "hswarm.methods", "method")
    >>> @method("best_single", "The expert that is best alone", paper="arXiv 2502.04510")
    ... def best_single(pool, evaluator, rng): ...

    `word` is the name under which the files import the decorator; its arguments are literals.
    """

    def __init__(self, name: str, package: str, word: str) -> None:
        self.name, self.package, self.word = name, package, word

    def __call__(
        self, name: str, about: str = "", *, paper: str = "", extras: tuple[str, ...] = ()
    ) -> Callable[[_T], _T]:
        part = Part(name, about, paper, extras)

        def declare(made: _T) -> _T:
            made.__part__ = part  # type: ignore[attr-defined]
            return made

        return declare

    @cached_property
    def parts(self) -> dict[str, Part]:
        """The parts declared in the package, by name, in order of file and line."""
        folder = Path(__file__).parent.joinpath(*self.package.split(".")[1:])
        found: dict[str, Part] = {}
        for path in sorted(folder.rglob("*.py")):
            module = ".".join([self.package, *path.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__")
            for part in declared(path.read_text(encoding="utf-8"), self.word, module):
                if part.name in found:
                    raise ValueError(f"{found[part.name].place} and {part.place} are both called '{part.name}'")
                found[part.name] = part
        return found

    @property
    def table(self) -> dict[str, str]:
        """Where each part is: "module:attribute" by name."""
        return {name: part.place for name, part in self.parts.items()}

    @property
    def names(self) -> list[str]:
        """All names: the package's own, then those of plug-ins."""
        return listed(self.name, self.table, "all")

    def check(self, name: str) -> None:
        """ConfigError with the nearest name unless `name` is in the room. Imports nothing."""
        check_name(self.name, self.table, name)

    def get(self, name: str) -> Any:
        """The part called `name`, imported now. Unknown names raise ConfigError with the nearest one."""
        return lookup(self.name, self.table, name)

    def about(self, name: str) -> Part:
        """What is declared of a part. A plug-in is imported for it."""
        if name in self.parts:
            return self.parts[name]
        made = getattr(self.get(name), "__part__", Part(name))
        return made if isinstance(made, Part) else Part(name)


def declared(source: str, word: str, module: str) -> list[Part]:
    """The parts that `source` declares by decorators `@word(...)` at its top level."""
    if f"@{word}(" not in source:
        return []
    found = []
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    for node in nodes:
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == word:
                values = [ast.literal_eval(value) for value in call.args]
                named = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in call.keywords}
                found.append(replace(Part(*values, **named), place=f"{module}:{node.name}"))
    return found


def near(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest of `known`, else a list of them all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there are: {', '.join(names)}" if names else ""


_all_plugins = cache(entry_points)  # this reads every package's metadata, so once a process


def _plugins(room: str) -> EntryPoints:
    """The parts that other packages add to a room."""
    return _all_plugins().select(group=f"hswarm.{room}")


def names(room: str, table: Mapping[str, str]) -> list[str]:
    """All names that `lookup` finds in a room, plug-ins included."""
    return sorted({*table, *_plugins(room).names})


def listed(room: str, table: Mapping[str, str], text: str) -> list[str]:
    """The names in "a,b", unchecked; for "all" the table's names in its order, then those of plug-ins."""
    if text == "all":
        return [*table, *(name for name in names(room, table) if name not in table)]
    return [name.strip() for name in text.split(",") if name.strip()]


def check_name(room: str, table: Mapping[str, str], name: str) -> None:
    """ConfigError with the nearest name unless `name` is in the room. Imports nothing."""
    known = names(room, table)
    if name not in known and ":" not in name:
        noun = f"{room[:-3]}y" if room.endswith("ies") else room.removesuffix("s")
        raise ConfigError([f"no {noun} '{name}'{near(name, known)}"])


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
    """The object that "module:attribute" names, if the user allows it; the working folder is searched too."""
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
