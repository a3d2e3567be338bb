"""Every field that a recipe may have, read from the settings' own definitions (`hswarm list fields`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from hswarm.config.recipe import Recipe
from hswarm.experts.remote import ApiLimits

Schema = dict[str, Any]  # JSON schema, as pydantic makes it

MAIN = (  # what most recipes set; the rest may stay as it is
    "pool.path",
    "task.path",
    "task.dev",
    "task.scorer",
    "task.max_new_tokens",
    "engine.name",
    "engine.devices",
    "budget.calls",
)
_KINDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "table",
}
_LIMITS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


class RecipeField(NamedTuple):
    """A field: its name with the section before it, and in words its type, default, range ("" for any) and meaning."""

    name: str
    kind: str
    default: str
    range: str
    meaning: str


@cache
def fields() -> tuple[RecipeField, ...]:
    """All fields, those that most recipes set (MAIN) first."""
    schema = Recipe.model_json_schema()
    found = list(_fields(schema, schema["$defs"], ""))
    return tuple(sorted(found, key=lambda field: MAIN.index(field.name) if field.name in MAIN else len(MAIN)))


def _fields(owner: Schema, known: dict[str, Schema], before: str) -> Iterator[RecipeField]:
    for name, field in owner["properties"].items():
        place = f"{before}{name}"
        section = known.get(_target(field))
        if section:
            yield from _fields(section, known, f"{place}.")
            continue
        value = field.get("default", {} if field.get("type") == "object" else None)
        default = "none" if value is None else json.dumps(value, ensure_ascii=False)
        meaning = " ".join((field.get("description") or _inherited().get(name, "")).split())
        required = name in owner.get("required", ())
        yield RecipeField(place, _kind(field), "must be set" if required else default, _range(field), meaning)
        inner = known.get(_target(field.get("items", {})))
        if inner and inner is not owner:  # a task's parts are tasks again
            yield from _fields(inner, known, f"{place}.")


@cache
def _inherited() -> dict[str, str]:
    """Texts of fields that sections inherit, which pydantic reads only from the class that defines them."""
    return {name: field["description"] for name, field in TypeAdapter(ApiLimits).json_schema()["properties"].items()}


def _target(field: Schema) -> str:
    return str(field.get("$ref", "")).rpartition("/")[2]


def _kind(field: Schema) -> str:
    if "anyOf" in field:
        return " or ".join(_kind(one) for one in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {'tables' if '$ref' in field['items'] else _kind(field['items']) + 's'}"
    return "none" if field.get("type") == "null" else _KINDS.get(field.get("type", ""), "text")


def _range(field: Schema) -> str:
    if "anyOf" in field:
        return "; ".join(filter(None, map(_range, field["anyOf"])))
    if "items" in field:
        return _range(field["items"])
    if "enum" in field or "const" in field:
        return ", ".join(json.dumps(value) for value in field.get("enum", [field.get("const")]))
    return " and ".join(f"{sign} {field[limit]:g}" for limit, sign in _LIMITS.items() if limit in field)
