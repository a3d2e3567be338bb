"""A system: the one thing that is searched, saved, evaluated, compared and served.

On disk: `system.json` (topology, which expert at which node, digests, prompts, base, engine, sampling) beside
`experts/<name>/`, each a PEFT adapter. Loading verifies every digest, a bundle's base included.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from hswarm.core.drawing import graph_svg
from hswarm.core.topology import Topology
from hswarm.engines import open_engine
from hswarm.engines.base import Engine, EngineSettings, Sampling
from hswarm.errors import RunError
from hswarm.execution import files
from hswarm.experts.adapter import Expert
from hswarm.experts.checkpoint import Checkpoint
from hswarm.experts.fingerprint import check_base
from hswarm.experts.pool import bases_of, read_expert, share_bases
from hswarm.prompts import Prompts

FORMAT = 1


@dataclass(frozen=True, eq=False)
class System:
    """A topology with an expert at each node (`experts[node]`), and all that is needed to answer with it."""

    topology: Topology
    experts: tuple[Expert, ...]
    prompts: Prompts = field(default_factory=Prompts)
    base: str = ""
    engine: EngineSettings = field(default_factory=EngineSettings)
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        if len(self.experts) != self.topology.size:
            raise ValueError(f"expected one expert a node ({self.topology.size}), got {len(self.experts)}")

    @property
    def assignment(self) -> list[str]:
        """The name of the expert at each node."""
        return [expert.name for expert in self.experts]

    @property
    def bases(self) -> tuple[str, ...]:
        """The base models that an engine needs to answer."""
        return bases_of(self.experts, self.base)

    @property
    def adapter_bases(self) -> tuple[str, ...]:
        """The base models under the system's adapters."""
        return bases_of([expert for expert in self.experts if expert.form], self.base)

    def _repr_html_(self) -> str:
        """For notebooks: the drawing, with the expert at each node."""
        experts = len({expert.digest for expert in self.experts})
        about = f"{self.topology.size} nodes, {experts} experts, {', '.join(self.bases)}, engine {self.engine.name}"
        return f"{graph_svg(self.topology, self.assignment)}<p>{escape(about)}</p>"

    def save(self, folder: Path, hashes: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Write the whole system to `folder`, replacing what was there only when all is written.

        `hashes` (experts/fingerprint.py) by the name of each adapter's base are verified on loading.
        """
        new = folder.with_name(folder.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        names, written = _folder_names(self.experts), {}
        for expert in {expert.digest: expert for expert in self.experts}.values():
            target = new / "experts" / names[expert.digest]
            if expert.form is None and not isinstance(expert, Checkpoint):
                files.write_tensors(target / "vector.safetensors", {"vector": expert.vector})
                written[expert.digest] = expert.digest
            else:
                written[expert.digest] = expert.write(target)
        description = self._description(names, written) | ({"hashes": dict(hashes)} if hashes else {})
        files.write_text(new / "system.json", json.dumps(description, indent=2) + "\n")
        files.sync_tree(new)
        old = folder.with_name(folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        files.sync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)

    def _description(self, names: dict[str, str], written: dict[str, str]) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "topology": self.topology.to_json(),
            "nodes": [
                {"expert": e.name, "folder": names[e.digest], "digest": written[e.digest]}
                | ({} if isinstance(e, Checkpoint) or e.base in ("", self.base) else {"base": e.base})
                for e in self.experts
            ],
            "prompts": asdict(self.prompts),
            "base": self.base,
            "engine": asdict(self.engine),
            "sampling": asdict(self.sampling),
        }

    def respond(self, questions: Sequence[str], engine: Engine | None = None) -> list[str]:
        """The system's answer to each question. Without `engine` the system opens the one it was found with."""
        from hswarm.execution.execute import Executor
        from hswarm.tasks.task import Example

        executor = Executor(engine or open_engine(self.engine, self.bases), settings=self.engine)
        examples = [Example(id=str(i), question=question, answer="") for i, question in enumerate(questions)]
        (nodes,) = executor.run([self], examples, "respond")
        return [completion.text for completion in nodes[self.topology.sink]]


def load(path: str | Path, base: str = "") -> System:
    """The system in `path`: a run's directory (its best), a bundle, or a folder that `System.save` wrote.

    `base` says where the base model lies if it is not found by the name that the system knows. RunError or PoolError
    if an adapter, or the base that a bundle names, is not what it was when written.
    """
    folder = Path(path)
    if not (folder / "system.json").is_file() and (folder / "best" / "system.json").is_file():
        folder = folder / "best"
    description = files.read_json(folder / "system.json", "a system (a finished run, or its best/)")
    try:
        if description["format"] != FORMAT:
            raise RunError(f"{folder}: format {description['format']}, this hswarm reads {FORMAT}")
        if base and any("base" in node for node in description["nodes"]):
            raise RunError(f"{folder} has experts of several bases; put them where their names say")
        for name, hashes in description.get("hashes", {}).items():
            check_base(base or name, hashes)
        topology = Topology.from_json(description["topology"])
        read = {
            node["folder"]: _read_expert(folder, node, base or description["base"]) for node in description["nodes"]
        }
        experts = dict(zip(read, share_bases(list(read.values())), strict=True))
        return System(
            topology,
            tuple(experts[node["folder"]] for node in description["nodes"]),
            Prompts(**description["prompts"]),
            base or description["base"],
            EngineSettings(**description["engine"]),
            Sampling(**description["sampling"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise RunError(f"{folder / 'system.json'} is not a system as hswarm writes it: {fault!r}") from fault


def _read_expert(folder: Path, node: dict[str, str], base: str) -> Expert:
    name = node["folder"]
    if name in ("", "..") or Path(name).name != name:
        raise RunError(f"{folder}: expert folder {name!r} points outside")
    source = folder / "experts" / name
    if (source / "vector.safetensors").is_file():
        vector = files.read_tensors(source / "vector.safetensors")["vector"]
        expert = Expert.of(node["expert"], np.asarray(vector, dtype=np.float32), None)
    else:
        expert = read_expert(source).named(node["expert"])
        if not isinstance(expert, Checkpoint):
            expert = expert.with_base(node.get("base", base))
    if expert.digest != node["digest"]:
        raise RunError(f"expert '{node['expert']}' in {source} has changed: digest {expert.digest[:12]}, "
                       f"expected {node['digest'][:12]}; take the folder as it was written")  # fmt: skip
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
