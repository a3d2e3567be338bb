"""What a sweep varies: fields of a recipe with their values or ranges. Knows nothing of Optuna."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass

from hswarm.errors import ConfigError

_BOTH = "role.{0},weight.{0}"
# The grid that the paper (arXiv 2502.04510) draws its 50 to 200 runs from; one value for both swarms.
SPACES = {
    "paper": (
        f"{_BOTH.format('inertia')}=[0.1, 0.2, 0.3]",
        f"{_BOTH.format('cognitive')}=[0.1, 0.2, 0.3, 0.4, 0.5]",
        f"{_BOTH.format('social')}=[0.2, 0.3, 0.4, 0.5, 0.6]",
        f"{_BOTH.format('repel')}=[0.01, 0.05, 0.1]",
        f"{_BOTH.format('step_length')}=[0.5, 0.6, 0.7, 0.8, 0.9, 1.0]",
    )
}


@dataclass(frozen=True)
class Parameter:
    """One thing to vary: `fields` share a value, one of `choices`, or from `low` to `high` (whole if both are)."""

    fields: tuple[str, ...]
    choices: tuple[object, ...] = ()
    low: int | float = 0
    high: int | float = 0
    log: bool = False

    @property
    def name(self) -> str:
        return ",".join(self.fields)

    @property
    def labels(self) -> list[str | int | float]:
        """The choices as plain values: lists and tables as JSON."""
        return [value if isinstance(value, str | int | float) else json.dumps(value) for value in self.choices]

    def overrides(self, label: str | int | float) -> list[str]:
        """What sets the fields to the value of `label`, as `--set` takes it."""
        value = self.choices[self.labels.index(label)] if self.choices else label
        return [f"{field}={json.dumps(value)}" for field in self.fields]


def read_space(texts: Sequence[str]) -> list[Parameter]:
    """Dimensions of texts "a.b=[1, 2]", "a.b=0.1..0.5", "a.b=1e-3..1 log" or "a.b,c.d=..."; all faults at once."""
    found, faults = [], []
    for text in texts:
        try:
            found.append(_read(text))
        except ValueError as fault:
            faults.append(f"--over takes field=[value, ...] or field=low..high, got '{text}' ({fault})")
    names = [field for dimension in found for field in dimension.fields]
    faults += [f"--over names '{name}' twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if not texts:
        faults.append("nothing to vary: name fields (--over role.inertia=0.1..0.3) or take --space paper")
    if faults:
        raise ConfigError(faults)
    return found


def _read(text: str) -> Parameter:
    names, equals, values = text.partition("=")
    fields = tuple(name.strip() for name in names.split(","))
    if not equals or not all(all(field.split(".")) for field in fields):
        raise ValueError("no field")
    low, dots, high = values.strip().partition("..")
    if dots:
        log = high.endswith(" log")
        ends = [json.loads(end) for end in (low, high.removesuffix(" log"))]
        if not all(isinstance(end, int | float) for end in ends) or not ends[0] < ends[1] or (log and ends[0] <= 0):
            raise ValueError("expected two numbers, the lower first, above 0 if log")
        return Parameter(fields, (), ends[0], ends[1], log)
    choices = tomllib.loads(f"values = {values}")["values"]
    if not isinstance(choices, list) or not choices:
        raise ValueError("expected a list with something in it")
    return Parameter(fields, tuple(choices))
