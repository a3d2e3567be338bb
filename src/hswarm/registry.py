"""Lookup of named parts, imported only when used.

A part is declared where it is defined, by its room's decorator; a `Room` finds the declarations by reading the files of
its package, so that listing names and options imports nothing. Another package adds a part by an entry point in the
group `hswarm.<room>`, e.g. `hswarm.scorers`. Any part may also be named as "module:attribute", which the user must
allow (consent.py). Names are written with `_`; a `-` in a name is read as `_`.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from hswarm.consent import check_python
from hswarm.errors import ConfigError, MissingExtra

_T = TypeVar("_T")


class Option(NamedTuple):
    """An option as its definition writes it; an empty `default` says that it must be given."""

    name: str
    kind: str = ""
    default: str = ""

    def __str__(self) -> str:
        return self.name + (f": {self.kind}" if self.kind else "") + (f" = {self.default}" if self.default else "")


@dataclass(frozen=True)
class Part:
    """What a decorator declares about a part: its name, one line about it, a paper or URL, the extras that bring
    what it needs, any one of them.

    Its options are read from the definition: a function's keyword-only parameters, a dataclass's fields.
    """

    name: str
    about: str = ""
    paper: str = ""
    extras: tuple[str, ...] = ()
    place: str = ""  # module:attribute
    options: tuple[Option, ...] = ()


_P = TypeVar("_P", bound=Part)


class Room(Generic[_P]):
    """The parts of one package, and the decorator that declares them.

    >>> method = Room("methods", "hswarm.methods", "method", Part)
    >>> @method("best_single", "The expert that is best alone", paper="arXiv 2502.04510")
    ... def best_single(pool, evaluator, rng): ...

    `word` is the name under which the files import the decorator; its arguments are literals, the fields of `kind`.
    """

    def __init__(self, name: str, package: str, word: str, kind: type[_P]) -> None:
        self.name, self.package, self.word, self.kind = name, package, word, kind

    def __call__(
        self, name: str, about: str = "", *, paper: str = "", extras: tuple[str, ...] = (), **more: object
    ) -> Callable[[_T], _T]:
        part = self.kind(name, about, paper, extras, **more)  # type: ignore[arg-type]

        def declare(made: _T) -> _T:
            made.__part__ = part  # type: ignore[attr-defined]
            return made

        return declare

    @cached_property
    def parts(self) -> dict[str, _P]:
        """The parts declared in the package, by name, in order of file and line."""
        folder = Path(__file__).parent.joinpath(*self.package.split(".")[1:])
        found: dict[str, _P] = {}
        for path in sorted(folder.rglob("*.py")):
            module = ".".join([self.package, *path.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__")
            for part in declared(path.read_text(encoding="utf-8"), self.word, module, self.kind):
                if part.name in found:
                    raise ValueError(f"{found[part.name].place} and {part.place} are both called '{part.name}'")
                found[part.name] = part
        return found

    @property
    def names(self) -> list[str]:
        """All names: the package's own, then those of plug-ins."""
        return [*self.parts, *sorted(_plugins(self.name).keys() - self.parts.keys())]

    def chosen(self, text: str) -> list[str]:
        """The names in "a,b" or "all", each checked; [] if there are none."""
        names = self.names if text == "all" else [identifier(name.strip()) for name in text.split(",") if name.strip()]
        for name in names:
            self.check(name)
        return names

    def check(self, name: str) -> None:
        """ConfigError with the nearest name unless `name` is in the room. Imports nothing."""
        if identifier(name) not in self.names and ":" not in name:
            raise ConfigError([f"no {singular(self.name)} '{name}'{near(name, self.names)}"])

    def get(self, name: str) -> Any:
        """The part called `name`, imported now.

        Unknown names raise ConfigError with the nearest one, a package that is not installed MissingExtra.
        """
        self.check(name)
        name = identifier(name)
        if ":" in name:
            return _imported(name)
        if name not in self.parts:
            return _plugins(self.name)[name].load()
        part = self.parts[name]
        module, _, attribute = part.place.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except ModuleNotFoundError as missing:
            if not part.extras or str(missing.name).startswith("hswarm"):
                raise
            raise MissingExtra(f"{singular(self.name)} '{name}'", *part.extras) from missing

    def about(self, name: str) -> _P:
        """What is declared of a part. Another package's is imported for it."""
        if identifier(name) in self.parts:
            return self.parts[identifier(name)]
        made = self.get(name)
        part = getattr(made, "__part__", None)
        shown = part if isinstance(part, self.kind) else self.kind(identifier(name).rpartition(":")[2])
        return replace(shown, options=tuple(map(_option, parameters(made))))


def identifier(name: str) -> str:
    """`name` as it is written now: older files have `-` where names have `_`."""
    return name if ":" in name else name.replace("-", "_")


def singular(room: str) -> str:
    """What one part of `room` is called."""
    return {"analyses": "analysis", "studies": "study"}.get(room) or room.removesuffix("s")


def parameters(made: Callable[..., object]) -> list[inspect.Parameter]:
    """The parameters of a part that are its options: a dataclass's fields, else those that are keyword-only."""
    every = isinstance(made, type) and dataclasses.is_dataclass(made)
    return [one for one in inspect.signature(made).parameters.values() if every or one.kind is one.KEYWORD_ONLY]


def _option(one: inspect.Parameter) -> Option:
    kind = one.annotation if isinstance(one.annotation, str) else inspect.formatannotation(one.annotation)
    empty = one.empty
    return Option(one.name, "" if one.annotation is empty else kind, "" if one.default is empty else repr(one.default))


def declared(source: str, word: str, module: str, kind: type[_P]) -> list[_P]:
    """The parts that `source` declares at its top level: by `@word(...)`, or as `name = word(...)(...)`."""
    if f"{word}(" not in source:
        return []
    found = []
    body = ast.parse(source).body
    for node in body:
        if isinstance(node, ast.FunctionDef):
            name, calls, options = node.name, node.decorator_list, read_options(node)
        elif isinstance(node, ast.ClassDef):
            name, calls, options = node.name, node.decorator_list, read_options(node) + _inherited(node, body)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            name, calls, options = ast.unparse(node.targets[0]), [node.value.func], ()
        else:
            continue
        for call in calls:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == word:
                values = [ast.literal_eval(value) for value in call.args]
                named = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in call.keywords}
                found.append(replace(kind(*values, **named), place=f"{module}:{name}", options=options))
    return found


def read_options(node: ast.FunctionDef | ast.ClassDef) -> tuple[Option, ...]:
    """The options of the function or class that `node` defines."""
    if isinstance(node, ast.FunctionDef):
        pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        return tuple(Option(one.arg, _text(one.annotation), _text(default)) for one, default in pairs)
    if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        inits = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
        return read_options(inits[0]) if inits else ()
    fields = [one for one in node.body if isinstance(one, ast.AnnAssign) and "ClassVar" not in _text(one.annotation)]
    return tuple(Option(_text(one.target), _text(one.annotation), _text(one.value)) for one in fields)


def _inherited(node: ast.ClassDef, body: list[ast.stmt]) -> tuple[Option, ...]:
    """The options of the classes that `node` extends, where `body`, the file it stands in, imports them from hswarm."""
    found: tuple[Option, ...] = ()
    bases = {_text(base) for base in node.bases}
    for one in body:
        names = {alias.name for alias in one.names} & bases if isinstance(one, ast.ImportFrom) else set()
        if names and isinstance(one, ast.ImportFrom) and (one.module or "").startswith("hswarm."):
            path = Path(__file__).parent.joinpath(*str(one.module).split(".")[1:]).with_suffix(".py")
            classes = [
                each for each in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(each, ast.ClassDef)
            ]
            found += tuple(option for each in classes if each.name in names for option in read_options(each))
    return found


def _text(node: ast.expr | None) -> str:
    """The source of `node`; of an annotation with limits the type alone."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated" and isinstance(node.slice, ast.Tuple):
        node = node.slice.elts[0]
    return ast.unparse(node) if node else ""


def near(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest of `known`, else a list of them all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there are: {', '.join(names)}" if names else ""


_all_plugins = cache(entry_points)  # this reads every package's metadata, so once a process


def _plugins(room: str) -> dict[str, EntryPoint]:
    """The parts that other packages add to a room, by name."""
    return {identifier(point.name): point for point in _all_plugins().select(group=f"hswarm.{room}")}


def _imported(name: str) -> object:
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
