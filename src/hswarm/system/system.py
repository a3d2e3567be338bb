"""A system: the one thing that is searched, saved, evaluated, compared and served.

On disk: `system.json` (topology, which expert at which node, digests, prompts, base, engine, sampling) beside
`experts/<name>/`, each a PEFT adapter. Loading verifies every digest, a bundle's base included. Fusions and votes are
described in `system.json` alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hswarm import io
from hswarm.core.topology import Topology
from hswarm.engines import open_engine
from hswarm.engines.base import Engine, EngineSettings, Sampling
from hswarm.errors import RunError
from hswarm.experts.expert import Expert, Node
from hswarm.experts.fingerprint import check_base
from hswarm.experts.fusion import Fusion
from hswarm.experts.pool import bases_of, read_expert, share_bases
from hswarm.plots.graph import graph_svg
from hswarm.prompts import Prompts
from hswarm.system.manifest import check_manifest
from hswarm.system.rules import Vote

FORMAT = 1


@dataclass(frozen=True, eq=False)
class System:
    """A topology with an expert, a fusion or a vote at each node (`nodes[node]`), and all that is needed to answer.

    `seeds`, one a node, keep samples of one expert at several nodes different; () is the sampling's own at each.
    """

    topology: Topology
    nodes: tuple[Node, ...]
    prompts: Prompts = field(default_factory=Prompts)
    base: str = ""
    engine: EngineSettings = field(default_factory=EngineSettings)
    sampling: Sampling = field(default_factory=Sampling)
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.seeds and len(self.seeds) != self.topology.size:
            raise ValueError(f"expected one seed a node ({self.topology.size}) or none, got {len(self.seeds)}")
        for node, held in enumerate(self.nodes[: self.topology.size]):
            if isinstance(held, Vote) and not self.topology.predecessors(node):
                raise ValueError(f"node {node} is a vote and has no predecessors")
        if len(self.nodes) != self.topology.size:
            raise ValueError(f"expected one expert a node ({self.topology.size}), got {len(self.nodes)}")

    @property
    def experts(self) -> tuple[Expert, ...]:
        """The experts that answer, node by node; a fusion's parts stand in its place."""
        return tuple(expert for node in self.nodes for expert in node.experts)

    @property
    def assignment(self) -> list[str]:
        """The name of the expert at each node."""
        return [node.name for node in self.nodes]

    @property
    def bases(self) -> tuple[str, ...]:
        """The base models that an engine needs to answer."""
        return bases_of(self.experts, self.base)

    @property
    def calls(self) -> int:
        """Model calls needed for one answer."""
        return sum(node.calls for node in self.nodes)

    def sampling_at(self, node: int) -> Sampling:
        """The sampling of `node`'s reply."""
        return replace(self.sampling, seed=self.seeds[node]) if self.seeds else self.sampling

    @property
    def adapter_bases(self) -> tuple[str, ...]:
        """The base models under the system's adapters."""
        return bases_of([expert for expert in self.experts if expert.form], self.base)

    def subgraph(self, nodes: Iterable[int], edges: Iterable[tuple[int, int]] | None = None) -> System:
        """The system of `nodes`, numbered from 0 in ascending order, and `edges` (None: all it has) between them."""
        kept = sorted(set(nodes))
        return replace(
            self,
            topology=self.topology.subgraph(kept, edges),
            nodes=tuple(self.nodes[node] for node in kept),
            seeds=tuple(self.seeds[node] for node in kept) if self.seeds else (),
        )

    def _repr_html_(self) -> str:
        """For notebooks: the drawing, with the expert at each node."""
        experts = len({expert.digest for expert in self.experts})
        about = f"{self.topology.size} nodes, {experts} experts, {', '.join(self.bases)}, engine {self.engine.name}"
        return f"{graph_svg(self.topology, self.assignment)}<p>{escape(about)}</p>"

    def save(self, folder: Path, hashes: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Write the whole system to `folder`, replacing an older one only when everything is written.

        `hashes` (experts/fingerprint.py) by the name of each adapter's base are verified on loading.
        """
        new = folder.with_name(folder.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        held = {expert.digest: expert for expert in self.experts}
        names, saved = _folder_names(list(held.values())), {}
        for expert in held.values():
            folder_name = names[expert.digest]
            entry = {"folder": folder_name, "digest": expert.write(new / "experts" / folder_name)}
            named = expert.base if expert.form and expert.base != self.base else ""
            saved[expert.digest] = entry | ({"base": named} if named else {})
        description = self._description(saved) | ({"hashes": dict(hashes)} if hashes else {})
        io.write_text(new / "system.json", json.dumps(description, indent=2) + "\n")
        io.sync_tree(new)
        old = folder.with_name(folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        io.sync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)

    def _description(self, saved: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "topology": self.topology.to_json(),
            "nodes": [node.entry(saved) for node in self.nodes],
            "prompts": asdict(self.prompts),
            "base": self.base,
            "engine": asdict(self.engine),
            "sampling": asdict(self.sampling),
        } | ({"seeds": list(self.seeds)} if self.seeds else {})

    def respond(self, questions: Sequence[str], engine: Engine | None = None) -> list[str]:
        """The system's answer to each question. Without `engine`, the system opens the engine it was found with."""
        from hswarm.system.executor import Executor
        from hswarm.tasks.task import Example

        executor = Executor(engine or open_engine(self.engine, self.bases, self.experts), settings=self.engine)
        examples = [Example(id=str(i), question=question, answer="") for i, question in enumerate(questions)]
        (nodes,) = executor.run([self], examples, "respond")
        return [completion.text for completion in nodes[self.topology.sink]]


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
        from hswarm.system.reference import load_reference

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
        read = {node["folder"]: _read_expert(folder, node, base or description["base"]) for node in flat}
        experts = dict(zip(read, share_bases(list(read.values())), strict=True))
        return System(
            topology,
            tuple(_compose(node, experts) for node in description["nodes"]),
            TypeAdapter(Prompts).validate_python(description["prompts"]),
            base or description["base"],
            TypeAdapter(EngineSettings).validate_python(description["engine"]).alone(),
            TypeAdapter(Sampling).validate_python(description["sampling"]),
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


def _folder_names(experts: Sequence[Expert]) -> dict[str, str]:
    """Digest -> folder name: the expert's name, with a number where different weights share it."""
    names: dict[str, str] = {}
    for expert in experts:
        if expert.digest not in names:
            name, number = expert.name, 2
            while name in names.values():
                name, number = f"{expert.name}-{number}", number + 1
            names[expert.digest] = name
    return names
