"""Options of a part, checked where a recipe sets them (registry.py reads them where they are defined)."""

from __future__ import annotations

import dataclasses
import json
import operator
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from hswarm.errors import ConfigError
from hswarm.registry import near, parameters

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic_core import ErrorDetails

SETTINGS = {"extra": "forbid", "use_attribute_docstrings": True}  # pydantic's configuration of a section of a recipe

WORDS = {  # what to write, for pydantic's words about types; filled in from the error's context
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "dict_type": "expected a table",
    "dataclass_type": "expected a table",
    "model_type": "expected a table",
    "string_type": "expected text in quotes",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "finite_number": "expected a finite number",
    "string_pattern_mismatch": "expected letters, digits, '.', '_' and '-', a letter or digit first",
    "string_too_long": "expected at most {max_length} characters",
    "literal_error": "expected {expected}",
    "missing": "is missing",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
}


_LIMITS = {"ge": "greater_than_equal", "gt": "greater_than", "le": "less_than_equal", "lt": "less_than"}
_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
}

_UNIONS = (Union, UnionType)
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")  # pydantic's errors for a key that is not known


def check_ranges(settings: DataclassInstance) -> None:
    """ValueError for the first field of a dataclass that its annotation does not allow: `Literal["a", "b"]`,
    `Annotated[int, Ge(1)]` with any of annotated_types' limits, or a union of these. None stands for nothing and is
    allowed under a limit."""
    for name, kind in _annotations(type(settings)).items():
        value = getattr(settings, name)
        wrong = [_instead(one, value) for one in (get_args(kind) if get_origin(kind) in _UNIONS else [kind])]
        if all(wrong):
            raise ValueError(f"{name} must be {' or '.join(wrong)}, got {value!r}")


def _instead(kind: Any, value: object) -> str:
    """What `value` must be to be of this kind, "" if it is."""
    if get_origin(kind) is Literal:
        known = get_args(kind)
        return "" if value in known else "one of " * (len(known) > 1) + ", ".join(map(repr, known))
    if kind is NoneType:
        return "" if value is None else "None"
    if getattr(kind, "__origin__", None) is int and not isinstance(value, int):
        return "a whole number"
    for limit in getattr(kind, "__metadata__", ()) if value is not None else ():
        sign, bound = next(iter(dataclasses.asdict(limit).items()))
        if not _HOLDS[sign](value, bound):
            return WORDS[_LIMITS[sign]].removeprefix("must be ").format(**{sign: bound})
    return ""


@cache
def _annotations(kind: type[DataclassInstance]) -> dict[str, Any]:
    names = {one.name for one in dataclasses.fields(kind)}
    return {name: hint for name, hint in get_type_hints(kind, include_extras=True).items() if name in names}


def configured(made: Callable[..., Any], given: Mapping[str, object], place: str) -> Callable[..., Any]:
    """`made` with its options set to what is `given`: an instance of a dataclass of settings, else a partial function.

    ConfigError names every unknown, missing or ill-typed option as `place`.option.
    """
    known = {one.name: one for one in parameters(made)}
    faults = [
        f"unknown key '{place}.{name}'{near(name, known) or '; there are no options'}"
        for name in given
        if name not in known
    ]
    faults += [
        f"{place}.{name} is missing" for name, one in known.items() if one.default is one.empty and name not in given
    ]
    values: dict[str, object] = {}
    whole = isinstance(made, type) and dataclasses.is_dataclass(made)
    hints = _hints(made)
    for name, value in given.items():
        if name in known:
            values[name], found = _checked(hints.get(name, Any), value, f"{place}.{name}")
            faults += found
    if not faults and whole:
        one, faults = _checked(made, values, place)
    if faults:
        raise ConfigError(faults)
    if whole:
        instance: Callable[..., Any] = one
        return instance
    return partial(made, **values) if values else made


def _hints(made: Callable[..., Any]) -> dict[str, Any]:
    defined = made if dataclasses.is_dataclass(made) or not isinstance(made, type) else vars(made).get("__init__", made)
    try:
        return get_type_hints(defined)
    except NameError:  # an annotation that only a type checker can see
        return {}


def _checked(kind: Any, value: object, place: str) -> tuple[Any, list[str]]:
    """`value` as a `kind`, and what is wrong with it."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    config = None if dataclasses.is_dataclass(kind) else ConfigDict(arbitrary_types_allowed=True)
    try:
        return TypeAdapter(kind, config=config).validate_python(value), []
    except ValidationError as fault:
        return None, [explain(error, ".".join([place, *map(str, error["loc"])])) for error in fault.errors()]


def explain(error: ErrorDetails, place: str, known: Iterable[str] = (), secret: bool = False) -> str:
    """One line for one of pydantic's errors at `place`, where the keys are `known`. A `secret` is not repeated."""
    if error["type"] in UNKNOWN:
        return f"unknown key '{place}'{near(str(error['loc'][-1]), known)}"
    words = WORDS.get(error["type"])
    message = words.format(**error.get("ctx", {})) if words else error["msg"].removeprefix("Value error, ")
    whole = error["type"] == "value_error" and isinstance(error["input"], Mapping)  # its text names the entry
    told = secret or whole or ", got " in message
    came = "" if told else f", got {json.dumps(error['input'], default=str)[:80]}"
    return f"{place}: {message[:1].lower()}{message[1:]}{came}"
