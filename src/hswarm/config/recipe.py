"""One typed recipe out of defaults, a preset, a TOML file and `--set a.b=c`, in that order; all faults at once."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from hswarm import io
from hswarm.core.decode import DecodeSettings
from hswarm.core.swarm import SwarmSettings
from hswarm.engines.base import EngineSettings, SamplingSettings
from hswarm.errors import ConfigError
from hswarm.experts.pool import PoolSettings
from hswarm.options import UNKNOWN, explain
from hswarm.prompts import Prompts
from hswarm.session.settings import (
    BudgetSettings,
    SearchSettings,
    SelectionSettings,
    TrackSettings,
)
from hswarm.tasks import TaskSettings

_SWARMS = {"method": "hswarm", "graphs": 10, "assignments": 10, "patience": 6, "draw": "independent"}
_PROMPTS = {"layout": "paper", "style": "place"}
_PAPER_SWARM = {"step_factor": 1.0, "velocity": "zero", "restart": False}  # Algorithm 1 has no restarts
_CODE_SWARM = {"step_factor": 1.0, "velocity": "random", "restart": True, "restart_patience": 0.67}

# Where paper and reference code differ; docs/fidelity.md gives the reasons for our own defaults.
PRESETS: dict[str, dict[str, object]] = {
    "paper": {
        "prompts": _PROMPTS,
        "decode": {"top_p": 0.8, "edges": "independent"},
        "search": {**_SWARMS, "iterations": 20, "weight_topology": "best"},
        "role": _PAPER_SWARM,
        "weight": _PAPER_SWARM,
    },
    "reference": {
        "prompts": _PROMPTS,
        "decode": {"top_p": 0.0, "edges": "one"},
        "search": {**_SWARMS, "iterations": 200, "weight_topology": "iteration"},
        "role": _CODE_SWARM,
        "weight": _CODE_SWARM,
    },
}

RETIRED: dict[str, object] = {
    "early_end": "off",
    "early_exit": False,
    "fresh_graphs": False,
}  # of [search], with what switched them off


class Recipe(BaseModel):
    """Everything a run depends on."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(default="run", max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The run's name, and the name of its folder unless --run gives one."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything that is drawn: the same seed gives the same run."""
    preset: Literal["", "paper", "reference"] = ""
    """Settings to start from: of the paper, or of the authors' code (docs/fidelity.md)."""
    pool: PoolSettings = PoolSettings()
    task: TaskSettings = TaskSettings()
    engine: EngineSettings = EngineSettings()
    prompts: Prompts = Prompts()
    sampling: SamplingSettings = SamplingSettings()
    decode: DecodeSettings = DecodeSettings()
    search: SearchSettings = SearchSettings()
    selection: SelectionSettings = SelectionSettings()
    budget: BudgetSettings = BudgetSettings()
    track: TrackSettings = TrackSettings()
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Options of methods, each in a section of its own, `[methods.NAME]` (`hswarm list methods`)."""
    role: SwarmSettings = SwarmSettings()
    weight: SwarmSettings = SwarmSettings()

    @model_validator(mode="before")
    @classmethod
    def _without_retired(cls, content: Any) -> Any:
        """Fields that older recipes have are left out where they were switched off; they are the swarm's."""
        search = content.get("search") if isinstance(content, Mapping) else None
        if not isinstance(search, Mapping):
            return content
        kept = {key: value for key, value in search.items() if key not in RETIRED or value != RETIRED[key]}
        if len(kept) < len(search):
            kept = {"method": "hswarm", **kept}
        return {**content, "search": kept}

    def to_toml(self) -> str:
        """The whole recipe, defaults written out; reading it gives an equal recipe."""
        return toml_text(self.model_dump(mode="json"))


def read_recipe(path: str | Path, overrides: Iterable[str] = (), preset: str = "") -> Recipe:
    """The recipe in the TOML file `path`. Relative folders in it count from its own folder, in `overrides` from here.

    `preset` is laid over the file, each of `overrides` ("a.b=value", TOML values, bare words are text) over both.
    Raises ConfigError listing every fault.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as fault:
        raise ConfigError([f"no recipe at {path}"]) from fault
    except IsADirectoryError as fault:
        raise ConfigError([f"expected a recipe (a TOML file) at {path}{io.what_is(path)}"]) from fault
    except (OSError, ValueError, RecursionError) as fault:
        raise ConfigError([f"{path} cannot be read as TOML: {fault}"]) from fault
    _anchor_paths(content, path.parent)
    if preset:
        content = _merged(content, PRESETS.get(preset, {})) | {"preset": preset}
    changes = set_values(overrides)
    _anchor_paths(changes, Path())
    return build_recipe(_merged(content, changes))


def same_recipe(path: Path, recipe: Recipe) -> bool:
    """Whether the file at `path`, written by `to_toml` of this version or an older one, holds `recipe`."""
    try:
        return build_recipe(tomllib.loads(path.read_text(encoding="utf-8"))) == recipe
    except (OSError, ValueError, RecursionError, ConfigError):
        return False


def varied(recipe: Recipe, overrides: Iterable[str]) -> Recipe:
    """`recipe` with `overrides` ("a.b=value"). Raises ConfigError listing every fault."""
    return build_recipe(_merged(recipe.model_dump(mode="json"), set_values(overrides)))


def set_values(overrides: Iterable[str]) -> dict[str, Any]:
    """What `overrides` ("a.b=value", TOML values, bare words are text) set, as nested mappings."""
    changes: dict[str, object] = {}
    for override in overrides:
        changes = _merged(changes, _override(override))
    return changes


def build_recipe(content: Mapping[str, object]) -> Recipe:
    """A Recipe of nested mappings, over the preset that it names.

    A recipe that `to_toml` wrote has all sections, written out: its preset adds nothing, so that a run's recipe stays
    what it was when a preset changes.
    """
    named = content.get("preset", "")
    whole = {name for name, field in Recipe.model_fields.items() if dataclasses.is_dataclass(field.annotation)}
    if isinstance(named, str) and not whole <= content.keys():
        content = _merged(PRESETS.get(named, {}), content)
    recipe, faults = None, []
    # Some checks are made only once others pass, so what is wrong is taken out until the rest is right.
    while recipe is None:
        try:
            recipe = Recipe.model_validate(content)
        except ValidationError as fault:
            faults += _explained(fault.errors(), content)
            for error in fault.errors():
                content = _without(content, error["loc"])
    faults += _switches(content, recipe.model_dump(mode="json"))
    if faults:
        raise ConfigError(faults)
    return recipe


def _switches(content: object, taken: object, place: str = "") -> list[str]:
    """A fault for each `true` or `false` of `content` that was taken as a number."""
    if isinstance(content, bool) and isinstance(taken, int | float) and not isinstance(taken, bool):
        return [f"{place}: expected a number, got {str(content).lower()}"]
    if isinstance(content, Mapping) and isinstance(taken, Mapping):
        pairs = [(key, content[key], taken[key]) for key in content if key in taken]
    elif isinstance(content, list | tuple) and isinstance(taken, list | tuple):
        pairs = list(zip(range(len(content)), content, taken, strict=False))
    else:
        return []
    return [fault for key, a, b in pairs for fault in _switches(a, b, f"{place}.{key}".lstrip("."))]


def _without(content: Mapping[str, object], place: Sequence[str | int]) -> dict[str, object]:
    """`content` less what stands at `place`, or less the nearest mapping's entry that holds it."""
    if not place:  # the recipe as a whole is at fault
        return {}
    first, *rest = place
    inner = content.get(str(first))
    if rest and isinstance(inner, Mapping):
        return {**content, str(first): _without(inner, rest)}
    return {key: value for key, value in content.items() if key != first}


def _anchor_paths(content: Mapping[str, object], folder: Path) -> None:
    """Make the relative paths in the sections of a recipe start at `folder`."""
    for section, key in (
        ("pool", "path"),
        ("task", "path"),
        ("search", "cache"),
        ("search", "start"),
        ("track", "folder"),
    ):
        anchor_path(content.get(section), folder, key)
    for part in _tables(content.get("task"), "parts"):
        anchor_path(part, folder)
    for tool in _tables(content.get("pool"), "tools"):
        _anchor_files(tool, folder)
    _anchor_base(content.get("pool"), folder)
    for key in ("path", "recipe"):
        methods = content.get("methods")
        anchor_path(methods.get("data_merge") if isinstance(methods, dict) else None, folder, key)


def _anchor_base(pool: object, folder: Path) -> None:
    """Make `base` start at `folder` where it is a path: a folder is there, or it begins with a dot. Else it is a hub id
    or an alias."""
    base = pool.get("base") if isinstance(pool, dict) else None
    if isinstance(base, str) and base and (base.startswith(".") or (folder / base).is_dir()):
        anchor_path(pool, folder, "base")


def anchor_path(section: object, folder: Path, key: str = "path") -> None:
    """Make a relative path at `key` in `section` start at `folder`."""
    if isinstance(section, dict) and isinstance(section.get(key), str) and section[key]:
        section[key] = str((folder / Path(section[key]).expanduser()).resolve())


def _anchor_files(tool: object, folder: Path) -> None:
    """Make the relative paths of a tool's files start at `folder`."""
    files = tool.get("files") if isinstance(tool, dict) else None
    if isinstance(tool, dict) and isinstance(files, list) and all(isinstance(file, str) for file in files):
        tool["files"] = [str((folder / Path(file).expanduser()).resolve()) for file in files]


def _tables(section: object, key: str) -> list[object]:
    tables = section.get(key) if isinstance(section, dict) else None
    return tables if isinstance(tables, list) else []


def _override(text: str) -> dict[str, object]:
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError([f"--set takes section.field=value, got '{text}'"])
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        parsed = value
    for part in reversed(key.split(".")):
        parsed = {part: parsed}
    return dict(parsed)


def _merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _explained(errors: Sequence[ErrorDetails], content: object) -> list[str]:
    """A line for each place at fault; what a field of several kinds may hold is told at once.

    Where an entry of a list or table is at fault, it alone is named.
    """
    found: dict[str, str] = {}
    for error in errors:
        place = ".".join(_place(error["loc"], content)) or "recipe"
        known = _fields(error["loc"][:-1]) if error["type"] in UNKNOWN else ()
        # what stands at a remote expert may be a key
        line = explain(error, place, known, secret="remote" in error["loc"])
        says, got, value = line.removeprefix(f"{place}: ").partition(", got ")
        before, says = found.get(place, ""), says.removeprefix("expected ").removeprefix("must be ")
        if got and before.endswith(f"{got}{value}"):
            line = f"{before.removesuffix(got + value)} or {says}{got}{value}" if says not in before else before
        found[place] = line if place not in found or got else f"{before}; {line}"
    return [line for place, line in found.items() if not any(other.startswith(f"{place}.") for other in found)]


def _place(steps: Sequence[str | int], content: object) -> list[str]:
    """`steps` into `content`, without pydantic's names for the kinds of value that a field may have."""
    found = []
    for step in steps:
        if isinstance(step, str) and isinstance(content, Mapping):
            content = content.get(step)
        elif isinstance(step, int) and isinstance(content, list | tuple) and step < len(content):
            content = content[step]
        else:
            continue
        found.append(str(step))
    return found


def _fields(place: Sequence[str | int]) -> list[str]:
    owner: Any = Recipe
    for part in place:
        owner = get_args(owner)[0] if isinstance(part, int) else get_type_hints(owner).get(str(part))
    if owner is Recipe:
        return list(Recipe.model_fields)
    return [field.name for field in dataclasses.fields(owner)] if dataclasses.is_dataclass(owner) else []


def toml_text(content: Mapping[str, object]) -> str:
    """`content` as TOML. None is left out, for TOML has no word for it."""
    return tomli_w.dumps({key: _without_none(value) for key, value in content.items() if value is not None})


def _without_none(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list | tuple) else value
