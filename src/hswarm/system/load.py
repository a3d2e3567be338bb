"""Reads systems: those that `System.save` wrote, and those of the authors' code."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hswarm import io
from hswarm.core.topology import Topology
from hswarm.engines.base import LEAST, EngineSettings, Sampling
from hswarm.errors import RunError
from hswarm.experts.expert import Expert, Node
from hswarm.experts.fingerprint import check_base
from hswarm.experts.fusion import Fusion
from hswarm.experts.pool import read_expert, share_bases
from hswarm.prompts import Prompts
from hswarm.system.manifest import check_manifest
from hswarm.system.reference import load_reference
from hswarm.system.rules import Vote
from hswarm.system.system import FORMAT, System


def load(path: str | Path, base: str = "") -> System:
    """The system in `path`: a run's directory (its best), a bundle, a folder that `System.save` wrote, or a finished
    search of the authors' code (system/reference.py).

    `base` says where the base model lies if it is not found by the name that the system knows. RunError or PoolError
    if a file of a bundle, an adapter, or the base that a bundle names is not what it was when written, or is a link.
    """
    folder = Path(path)
    if not (folder / "system.json").is_file() and (folder / "best" / "system.json").is_file():
        folder = folder / "best"
    if not (folder / "system.json").is_file() and (folder / "all_time_best").is_dir():
        return load_reference(folder, base)
    if not any((folder / name).is_file() for name in ("system.json", "manifest.json")):
        raise RunError(f"no system at {folder}: expected a finished run, its best/ or a bundle{io.what_is(folder)}")
    check_manifest(folder)
    description = io.read_json(folder / "system.json", "a system")
    try:
        if description["format"] != FORMAT:
            raise RunError(f"{folder}: format {description['format']}, this hswarm reads {FORMAT}")
        if description.get("early_exit"):
            raise RunError(
                f"{folder} ends early where its leaves agree (early_exit), which hswarm no longer does: it would give "
                "other answers than those it was scored by; search again without search.early_exit"
            )
        if base and any("base" in node for node in description["nodes"]):
            raise RunError(f"{folder} has experts of several bases; put them where their names say")
        for name, hashes in description.get("hashes", {}).items():
            check_base(base or name, hashes)
        topology = Topology.from_json(description["topology"])
        flat = [part for node in description["nodes"] for part in node.get("fusion", [node]) if "vote" not in part]
        read = _read_experts(folder, flat, base or description["base"])
        experts = dict(zip(read, share_bases(list(read.values())), strict=True))
        return System(
            topology,
            tuple(_compose(node, experts) for node in description["nodes"]),
            TypeAdapter(Prompts).validate_python(description["prompts"]),
            base or description["base"],
            TypeAdapter(EngineSettings).validate_python(description["engine"]).alone(),
            _sampling(description["sampling"]),
            tuple(description.get("seeds", ())),
        )
    except ValidationError as fault:
        raise RunError(f"{folder / 'system.json'} is not a system as hswarm writes it: {_first(fault)}") from fault
    except (KeyError, TypeError, ValueError, AttributeError, OSError, RecursionError) as fault:
        raise RunError(f"{folder / 'system.json'} is not a system as hswarm writes it: {fault!r}") from fault


def _first(fault: ValidationError) -> str:
    first = fault.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _compose(node: dict[str, Any], experts: dict[str, Expert]) -> Node:
    """The expert, fusion or vote at a node, given the experts by folder."""
    if "vote" in node:
        return Vote.new(node["expert"])
    if "fusion" in node:
        parts = [experts[part["folder"]].renamed(part["expert"]) for part in node["fusion"]]
        return Fusion.join(parts, node["weights"], node["temperature"], node["expert"])
    return experts[node["folder"]].renamed(node["expert"])


def _sampling(content: object) -> Sampling:
    """ValueError for numbers that no engine can draw with."""
    made = TypeAdapter(Sampling).validate_python(content)
    if (
        made.max_new_tokens < 1
        or not (made.temperature == 0 or made.temperature >= LEAST)
        or not LEAST <= made.top_p <= 1
    ):
        raise ValueError(
            f"sampling: expected at least 1 new token, temperature 0 or at least {LEAST:g} and top_p between {LEAST:g} "
            f"and 1, got {made.max_new_tokens}, {made.temperature:g} and {made.top_p:g}"
        )
    return made


def _read_experts(folder: Path, nodes: Iterable[dict[str, str]], base: str) -> dict[str, Expert]:
    """The experts by folder, each read once, at however many nodes it stands."""
    read: dict[str, Expert] = {}
    for node in nodes:
        name = node["folder"]
        if name not in read:
            read[name] = _read_expert(folder, node, base)
        elif read[name].digest != node["digest"]:
            raise RunError(f"{folder}: expert folder {name!r} has two digests; take the folder as it was written")
    return read


def _read_expert(folder: Path, node: dict[str, str], base: str) -> Expert:
    name = node["folder"]
    if name in ("", "..") or Path(name).name != name:
        raise RunError(f"{folder}: expert folder {name!r} points outside")
    source = folder / "experts" / name
    expert = read_expert(source).renamed(node["expert"])
    if expert.form:
        expert = expert.with_base(node.get("base", base))
    if expert.digest != node["digest"]:
        raise RunError(
            f"expert '{node['expert']}' in {source} has changed: digest {expert.digest[:12]}, "
            f"expected {node['digest'][:12]}; take the folder as it was written"
        )
    return expert
