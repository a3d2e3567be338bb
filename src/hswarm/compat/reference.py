"""A recipe from the arguments of the authors' search script (arXiv 2502.04510): its flags, and our fields for each.

Arguments come as a command line or as the args.json that a search of theirs leaves. docs/fidelity.md is this table in
words. Knows nothing of how a recipe is read or run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hswarm.errors import ConfigError
from hswarm.registry import near


class Flag(NamedTuple):
    """An argument of the script: its value there if it is not given, our `fields` that do the same, whether the script
    ever acts on it, and how its value is read."""

    name: str
    default: str | None
    fields: tuple[str, ...]
    read: Callable[[str], object]
    acts: bool = True
    short: str = ""


def _both(field: str) -> tuple[str, str]:
    return f"role.{field}", f"weight.{field}"


def _switch(text: str) -> bool:
    if text.lower() in ("1", "true"):
        return True
    if text.lower() in ("0", "false", "none", ""):
        return False
    raise ValueError


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _count(text: str) -> int:
    return 0 if text == "None" else int(text)


def _name(text: str) -> str:
    """`text` as a run's name: the starter script writes {0.1} for 0.1."""
    return re.sub(r"[^A-Za-z0-9._-]", "", text).lstrip("._-") or "reference"


def _scorer(text: str) -> str:
    return {"multiple_choice": "choice", "exact_match": "exact", "abstainqa": "abstain", "gemini_match": "judge"}[text]


def _velocity(text: str) -> str:
    if text not in ("zero", "random", "best"):
        raise ValueError
    return text


def _start(text: str) -> str:
    return "all" if _switch(text) else "best"


FLAGS = (
    Flag("name", None, ("name",), _name, short="n"),
    Flag("eval_type", None, ("task.scorer",), _scorer, short="e"),
    Flag("dataset", None, ("task.name", "task.path"), str, short="d"),
    Flag("gpus", None, ("engine.devices",), _numbers, short="g"),
    Flag("graph_num", "10", ("search.graphs",), int),
    Flag("num_cpu_when_merging", "1", (), int),
    Flag("inertia", "0.4", _both("inertia"), float),
    Flag("cognitive_coeff", "0.3", _both("cognitive"), float),
    Flag("social_coeff", "0.3", _both("social"), float),
    Flag("repel_coeff", "0.3", _both("repel"), float),
    Flag("step_length", "1", _both("step_length"), float),
    Flag("patience", "10", ("search.patience", *_both("patience")), int, short="p"),
    Flag("max_iteration", "200", ("search.iterations",), int, short="m"),
    Flag("weight_randomness", "1", _both("coefficients_random"), _switch),
    Flag("initial_expert_directory", "./initial_experts", ("pool.path",), str, short="i"),
    Flag("base_model", "google/gemma-7b-it", ("pool.base",), str, acts=False, short="b"),
    Flag("starting_test_set_eval", "0", ("search.start_on_test",), _start, acts=False),
    Flag("fast_merge", "0", (), _switch),
    Flag("project_name_wb", "search", ("track.project",), str),
    Flag("populate_initial_experts", "0", ("pool.populate",), _switch, acts=False),
    Flag("initial_experts_num", "None", ("pool.populate",), _count, acts=False),
    Flag("starting_velocity_mode", "zero", _both("velocity"), _velocity),
    Flag("repel_term", "0", _both("repel"), _switch),
    Flag("step_length_factor", "1", _both("step_factor"), float, acts=False),
    Flag("minimum_step_length", "0.1", _both("min_step_length"), float, acts=False),
    Flag("restart_stray_particles", "0", _both("restart"), _switch),
    Flag("restart_patience", "0.5", _both("restart_patience"), float),
    Flag("clean_up_on_end", "1", ("search.clean_up",), _switch),
    Flag("to_visualize", "False", (), _switch, acts=False),
    Flag("correctness_emergence", "False", (), _switch, acts=False),
    Flag("dropK", "0", ("search.drop_k",), float, acts=False),
    Flag("dropN", "0", ("search.drop_n",), float, acts=False),
)
_OWN = {"eval_type", "dataset", "base_model", "populate_initial_experts", "initial_experts_num", "repel_term"}
_LENGTHS = {"multiple_choice": 50, "exact_match": 50, "abstainqa": 100, "gemini_match": 200}


def read_args(path: Path) -> dict[str, str]:
    """The arguments in an args.json. ConfigError if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise ConfigError([f"{path} cannot be read as the args.json of a search: {fault}"]) from fault
    if not isinstance(content, dict) or "dataset" not in content:
        raise ConfigError([f"{path} is not the args.json of a search: expected an object with name, dataset ..."])
    return {str(key): str(value) for key, value in content.items()}


def root_of(args: Path) -> Path:
    """Where the script was started that left `args`, an args.json at search/<name>/."""
    folder = args.resolve().parent
    return folder.parent.parent if folder.parent.name == "search" else Path.cwd()


def recipe_content(given: Mapping[str, str], root: Path) -> tuple[dict[str, Any], list[str]]:
    """The content of a recipe that does what `given` asks of the script in folder `root`, and remarks on it.

    Flags that the script never acted on act here; a remark names them. ConfigError lists what cannot be read.
    """
    values = _read(given)
    content: dict[str, Any] = {"name": values["name"], "preset": "reference"}
    for flag in FLAGS[1:]:
        for field in flag.fields if flag.name not in _OWN else ():
            _put(content, field, values[flag.name])
    _put(content, "pool.path", str((root / values["initial_expert_directory"]).resolve()))
    if given.get("base_model", values["base_model"]) != "google/gemma-7b-it":  # args.json always has it
        _put(content, "pool.base", values["base_model"])
    if values["populate_initial_experts"]:
        _put(content, "pool.populate", values["initial_experts_num"])
    if not values["repel_term"]:
        for field in _both("repel"):
            _put(content, field, 0.0)
    content["task"] = task_content(given, root)
    return content, _remarks(given)


def task_content(given: Mapping[str, str], root: Path) -> dict[str, object]:
    """`[task]` for the data and eval_type that `given` names; data lie in data/eval of the folder `root`."""
    from hswarm.tasks.task import task

    values, folder = _read(given), root / "data" / "eval"
    kind = given["eval_type"]
    name = "mmlu" if kind == "abstainqa" else values["dataset"]  # the script looks only there
    scored = {"scorer": values["eval_type"]}
    if name in task.parts and task.parts[name].place.startswith("hswarm.tasks.named:"):
        return {"name": name, **({"path": str(folder.resolve())} if folder.is_dir() else {}), **scored}
    path = str((folder / f"{name}.json").resolve())
    return {"path": path, "max_new_tokens": _LENGTHS[kind], **scored}


def _read(given: Mapping[str, str]) -> dict[str, Any]:
    """Every flag's value, the script's own default where it is not given."""
    known = {flag.name: flag for flag in FLAGS}
    faults = [f"the authors' script has no flag '{key}'{near(key, known)}" for key in given if key not in known]
    values: dict[str, Any] = {}
    for flag in FLAGS:
        text = given.get(flag.name, flag.default)
        if text is None:
            if flag.name != "gpus":
                faults.append(f"{flag.name} is missing; the authors' script needs it")
            values[flag.name] = []
            continue
        try:
            values[flag.name] = flag.read(text)
        except (ValueError, KeyError):
            faults.append(f"{flag.name}: {text!r} is not a value that the authors' script accepts")
    if faults:
        raise ConfigError(faults)
    return values


def _put(content: dict[str, Any], field: str, value: object) -> None:
    *sections, key = field.split(".")
    for section in sections:
        content = content.setdefault(section, {})
    content[key] = value


def _remarks(given: Mapping[str, str]) -> list[str]:
    asked = {flag.name: flag for flag in FLAGS if given.get(flag.name, flag.default) != flag.default}
    dead = [f"{name} = {given[name]}" for name, flag in asked.items() if not flag.acts and flag.fields]
    none = [name for name, flag in asked.items() if not flag.fields]
    remarks = ["replies are scored strictly; the authors' own loose rules are: hswarm evaluate RUN --scorer reference"]
    if dead:
        remarks.append(
            f"never acted on by the authors' script, and acts here: {', '.join(dead)} "
            "(delete its lines to repeat what ran)"
        )
    if none:
        remarks.append(f"has no field here (docs/fidelity.md says why): {', '.join(none)}")
    return remarks
