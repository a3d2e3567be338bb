"""Reads systems: those that `System.save` wrote, and those of the authors' code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from hswarm import io
from hswarm.errors import RunError
from hswarm.experts.expert import Expert, Node
from hswarm.experts.fingerprint import check_base
from hswarm.experts.fusion import Fusion
from hswarm.experts.pool import read_expert, share_bases
from hswarm.records import first_fault
from hswarm.system.manifest import check_manifest
from hswarm.system.record import ExpertRecord, NodeRecord, SystemRecord
from hswarm.system.reference import load_reference
from hswarm.system.route import Route, Router
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
    content = io.read_json(folder / "system.json", "a system")
    if isinstance(content, dict) and content.get("format", FORMAT) != FORMAT:
        raise RunError(f"{folder}: format {content['format']}, this hswarm reads {FORMAT}")
    try:
        io.check_text(content)
        return _system(folder, SystemRecord.model_validate(content), base)
    except ValidationError as fault:
        told = first_fault(fault)
    except (ValueError, OSError) as fault:
        told = repr(fault)
    raise RunError(f"{folder / 'system.json'} is not a system as hswarm writes it: {told}")


def _system(folder: Path, record: SystemRecord, base: str) -> System:
    if record.early_exit:
        raise RunError(
            f"{folder} ends early where its leaves agree (early_exit), which hswarm no longer does: it would give "
            "other answers than those it was scored by; search again without search.early_exit"
        )
    if base and any(node.base for node in record.nodes):
        raise RunError(f"{folder} has experts of several bases; put them where their names say")
    for name, hashes in record.hashes.items():
        check_base(base or name, hashes)
    read = _read_experts(folder, [part for node in record.nodes for part in node.experts], base or record.base)
    experts = dict(zip(read, share_bases(list(read.values())), strict=True))
    return System(
        record.topology.topology(),
        tuple(_node(node, experts) for node in record.nodes),
        record.prompts,
        base or record.base,
        record.engine.alone(),
        record.sampling,
        tuple(record.seeds),
    )


def _node(node: NodeRecord, experts: Mapping[str, Expert]) -> Node:
    """What stands at a node, given the experts by folder."""
    if found := node.route:
        rows = tuple(map(tuple, found.weights))
        return Route.by(Router(tuple(found.words), rows, found.price, found.sure), node.expert)
    if node.vote:
        return Vote.new(node.expert)
    if node.fusion:
        parts = [experts[part.folder].renamed(part.expert) for part in node.fusion]
        return Fusion.join(parts, node.weights, node.temperature, node.expert)
    return experts[node.folder].renamed(node.expert)


def _read_experts(folder: Path, listed: Iterable[ExpertRecord], base: str) -> dict[str, Expert]:
    """The experts by folder, each read once, at however many nodes it stands."""
    read: dict[str, Expert] = {}
    for one in listed:
        if one.folder not in read:
            read[one.folder] = _read_expert(folder, one, base)
        elif read[one.folder].digest != one.digest:
            raise RunError(f"{folder}: expert folder {one.folder!r} has two digests; take the folder as it was written")
    return read


def _read_expert(folder: Path, one: ExpertRecord, base: str) -> Expert:
    if one.folder in ("", "..") or Path(one.folder).name != one.folder:
        raise RunError(f"{folder}: expert folder {one.folder!r} points outside")
    source = folder / "experts" / one.folder
    expert = read_expert(source).renamed(one.expert)
    if expert.form:
        expert = expert.with_base(one.base or base)
    if expert.digest != one.digest:
        raise RunError(
            f"expert '{one.expert}' in {source} has changed: digest {expert.digest[:12]}, "
            f"expected {one.digest[:12]}; take the folder as it was written"
        )
    return expert
