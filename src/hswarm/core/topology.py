"""The topology of a system: a directed acyclic graph with one sink. Knows nothing of experts or weights."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TypedDict

from hswarm.plots.graph import graph_svg


class TopologyJSON(TypedDict):
    """A topology in JSON: edges are pairs, sorted."""

    size: int
    edges: list[list[int]]


@dataclass(frozen=True)
class Topology:
    """A frozen graph on nodes 0 .. size-1; edge (u, v) puts u's response in v's prompt (arXiv 2502.04510, section 2).

    `edges` may be any iterable of pairs; it is kept as a frozenset of Python integers. Raises ValueError unless the
    graph is acyclic with exactly one sink, the node whose response is the answer.
    """

    size: int
    edges: frozenset[tuple[int, int]]

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "size", operator.index(self.size))
            pairs = frozenset((operator.index(u), operator.index(v)) for u, v in self.edges)
        except (TypeError, ValueError) as error:
            raise ValueError(f"expected a whole size and edges as pairs of whole numbers: {error}") from None
        object.__setattr__(self, "edges", pairs)
        if self.size < 1:
            raise ValueError(f"a topology has at least one node, got size {self.size}")
        if self.size > len(pairs) + 1:  # checked before anything of that size is built
            raise ValueError(f"expected exactly one sink, got {self.size} nodes and only {len(pairs)} edges")
        for u, v in self.edges:
            if not (0 <= u < self.size and 0 <= v < self.size) or u == v:
                raise ValueError(f"expected edges between two different nodes of 0 .. {self.size - 1}, got ({u}, {v})")
        if stuck := sorted(set(range(self.size)) - set(self.order)):
            raise ValueError(f"expected an acyclic graph, got a cycle among nodes {stuck}")
        if len(sinks := self._sinks()) != 1:
            raise ValueError(f"expected exactly one sink, got nodes {sinks}")

    def _sinks(self) -> list[int]:
        speaking = {u for u, _ in self.edges}
        return [node for node in range(self.size) if node not in speaking]

    @cached_property
    def sink(self) -> int:
        """The node that gives the answer."""
        return self._sinks()[0]

    @cached_property
    def _predecessors(self) -> tuple[tuple[int, ...], ...]:
        heard: list[list[int]] = [[] for _ in range(self.size)]
        for u, v in sorted(self.edges):
            heard[v].append(u)
        return tuple(map(tuple, heard))

    def predecessors(self, node: int) -> tuple[int, ...]:
        """The predecessors of `node`, in ascending order; IndexError if there is no such node."""
        if not 0 <= node < self.size:
            raise IndexError(f"expected a node of 0 .. {self.size - 1}, got {node}")
        return self._predecessors[node]

    @cached_property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """Nodes by the longest path that leads to them: those of one stage can answer in parallel."""
        waiting = [len(heard) for heard in self._predecessors]
        readers: list[list[int]] = [[] for _ in range(self.size)]
        for u, v in self.edges:
            readers[u].append(v)
        stage = [node for node in range(self.size) if not waiting[node]]
        stages = []
        while stage:
            stages.append(tuple(stage))
            freed = []
            for v in chain.from_iterable(readers[u] for u in stage):
                waiting[v] -= 1
                if not waiting[v]:
                    freed.append(v)
            stage = sorted(freed)
        return tuple(stages)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """A topological order: stage by stage, within a stage by index."""
        return tuple(node for stage in self.stages for node in stage)

    def ancestors(self, node: int) -> frozenset[int]:
        """The nodes from which a path leads to `node`, and `node` itself."""
        return reaching(node, self.edges)

    def subgraph(self, nodes: Iterable[int], edges: Iterable[tuple[int, int]] | None = None) -> Topology:
        """The topology of `nodes`, numbered from 0 in ascending order, and the edges between them.

        `edges`, if given, take the place of its own. ValueError as for the constructor.
        """
        number = {node: i for i, node in enumerate(sorted(set(nodes)))}
        kept = self.edges if edges is None else edges
        return Topology.of(len(number), ((number[u], number[v]) for u, v in kept if u in number and v in number))

    @property
    def depth(self) -> int:
        """The number of stages: nodes on the longest path."""
        return len(self.stages)

    def _repr_svg_(self) -> str:
        """For notebooks: the drawing."""
        return graph_svg(self)

    def to_json(self) -> TopologyJSON:
        """A JSON-able form: {"size": n, "edges": [[u, v], ...]}, edges sorted."""
        return {"size": self.size, "edges": [list(edge) for edge in sorted(self.edges)]}

    @classmethod
    def from_json(cls, content: TopologyJSON) -> Topology:
        """The inverse of `to_json`; ValueError as for the constructor."""
        return cls(content["size"], content["edges"])  # type: ignore[arg-type]  # the constructor checks and freezes it

    @classmethod
    def of(cls, size: int, edges: Iterable[tuple[int, int]]) -> Topology:
        """A topology with the given edges, any iterable of pairs."""
        return cls(size, frozenset(edges))

    @classmethod
    def chain(cls, size: int) -> Topology:
        """0 -> 1 -> ... -> size-1."""
        return cls.of(size, ((node, node + 1) for node in range(size - 1)))

    @classmethod
    def star(cls, size: int) -> Topology:
        """Every other node -> size-1."""
        return cls.of(size, ((node, size - 1) for node in range(size - 1)))


def reaching(end: int, edges: Iterable[tuple[int, int]]) -> frozenset[int]:
    """The nodes from which a path of `edges` leads to `end`, and `end` itself; the edges may hold cycles."""
    before: dict[int, list[int]] = {}
    for u, v in edges:
        before.setdefault(v, []).append(u)
    found, waiting = {end}, [end]
    while waiting:
        new = set(before.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return frozenset(found)
