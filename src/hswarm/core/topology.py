"""Who speaks to whom: a directed acyclic graph with one sink. Knows nothing of experts or weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Topology:
    """A frozen graph on nodes 0 .. size-1; edge (u, v) puts u's response in v's prompt.

    Raises ValueError unless it is acyclic with exactly one sink, the node whose response is the answer.
    """

    size: int
    edges: frozenset[tuple[int, int]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", int(self.size))
        object.__setattr__(self, "edges", frozenset((int(u), int(v)) for u, v in self.edges))
        if self.size < 1:
            raise ValueError(f"a topology has at least one node, got size {self.size}")
        for u, v in self.edges:
            if not (0 <= u < self.size and 0 <= v < self.size) or u == v:
                raise ValueError(f"edge ({u}, {v}) must join two different nodes of 0 .. {self.size - 1}")
        if len(self.order) < self.size:
            raise ValueError(f"edges must not form a cycle, got one among {sorted(set(range(self.size)) - {*self.order})}")
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
        """The nodes that `node` hears, in ascending order."""
        return self._predecessors[node]

    @cached_property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """Nodes by the longest path that leads to them: those of one stage can answer at once."""
        waiting = [len(heard) for heard in self._predecessors]
        stage = [node for node in range(self.size) if not waiting[node]]
        stages = []
        while stage:
            stages.append(tuple(stage))
            spoken = set(stage)
            freed = []
            for u, v in sorted(self.edges):
                if u in spoken:
                    waiting[v] -= 1
                    if not waiting[v]:
                        freed.append(v)
            stage = sorted(freed)
        return tuple(stages)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """A topological order: stage by stage."""
        return tuple(node for stage in self.stages for node in stage)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {"size": self.size, "edges": [list(edge) for edge in sorted(self.edges)]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Topology:
        """What `to_json` gave."""
        return cls(content["size"], frozenset((u, v) for u, v in content["edges"]))

    @classmethod
    def of(cls, size: int, edges: Iterable[tuple[int, int]]) -> Topology:
        """A topology of any iterable of edges."""
        return cls(size, frozenset(edges))

    @classmethod
    def chain(cls, size: int) -> Topology:
        """0 -> 1 -> ... -> size-1."""
        return cls.of(size, ((node, node + 1) for node in range(size - 1)))

    @classmethod
    def star(cls, size: int) -> Topology:
        """Every other node -> size-1."""
        return cls.of(size, ((node, size - 1) for node in range(size - 1)))
