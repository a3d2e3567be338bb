"""A system: the one thing that is searched, saved, evaluated, compared and served.

On disk: `system.json` (topology, which expert at which node, digests, prompts, base, engine, sampling) beside
`experts/<name>/`, each a PEFT adapter. Loading verifies every digest, a bundle's base included. Fusions, votes and
routes are described in `system.json` alone.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path

from hswarm import io
from hswarm.core.topology import Topology
from hswarm.engines import open_engine
from hswarm.engines.base import Engine, EngineSettings, Sampling
from hswarm.experts.expert import Expert, Node
from hswarm.experts.pool import bases_of
from hswarm.plots.graph import graph_svg
from hswarm.prompts import Prompts
from hswarm.system.executor import Executor
from hswarm.system.route import Route
from hswarm.system.rules import Vote
from hswarm.tasks.task import Example

FORMAT = 1
_LONGEST = 100  # characters of a folder's name


@dataclass(frozen=True, eq=False)
class System:
    """A topology with an expert, a fusion or a rule at each node (`nodes[node]`), and all that is needed to answer.

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
            if isinstance(held, Route):
                self._check_route(node, held)
        if len(self.nodes) != self.topology.size:
            raise ValueError(f"expected one expert a node ({self.topology.size}), got {len(self.nodes)}")

    def _check_route(self, node: int, route: Route) -> None:
        wanted, found = len(route.router.weights), len(self.topology.predecessors(node))
        if node != self.topology.sink or not found or found != wanted:
            raise ValueError(
                f"node {node} routes among {wanted} systems: expected the sink and {wanted} predecessors, got {found}"
                + (" and another sink" if node != self.topology.sink else "")
            )

    @property
    def ends(self) -> tuple[int, ...]:
        """The nodes that may give the answer: the sink, or those that a route there chooses among."""
        sink = self.topology.sink
        return self.topology.predecessors(sink) if isinstance(self.nodes[sink], Route) else (sink,)

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
        """Model calls needed for one answer, at most: a route leaves out what it can."""
        return sum(node.calls for node in self.nodes)

    def sampling_at(self, node: int) -> Sampling:
        """The sampling of `node`'s reply."""
        return replace(self.sampling, seed=self.seeds[node]) if self.seeds else self.sampling

    @property
    def adapter_bases(self) -> tuple[str, ...]:
        """The base models under the system's adapters."""
        return bases_of([expert for expert in self.experts if expert.form], self.base)

    def alone(self, node: Node) -> System:
        """`node` as a system of one node that asks as this one does."""
        return replace(self, topology=Topology.chain(1), nodes=(node,), seeds=())

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

    def _description(self, saved: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
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
        executor = Executor(engine or open_engine(self.engine, self.bases, self.experts), settings=self.engine)
        examples = [Example(id=str(i), question=question, answer="") for i, question in enumerate(questions)]
        (nodes,) = executor.run([self], examples, "respond")
        return [completion.text for completion in nodes[self.topology.sink]]


def _folder_names(experts: Sequence[Expert]) -> dict[str, str]:
    """Digest -> folder name: the expert's name, with a number where different weights share it.

    A name may be a stranger's: what cannot be part of a folder's name everywhere becomes "-".
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for expert in experts:
        if expert.digest not in names:
            plain = re.sub(r"[^\w .+=@,()-]", "-", expert.name)[:_LONGEST].strip(" .") or "expert"
            names[expert.digest] = io.numbered(plain, taken)
            taken.add(names[expert.digest])
    return names
