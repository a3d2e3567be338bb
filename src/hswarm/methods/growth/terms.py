"""A term: an expert and the terms whose replies it reads. Every system that growth tries is one.

Sub-terms that are equal are one node, so a term is a directed acyclic graph with one sink, its root. The expert at a
node is a mix: positions in the pool with shares that sum to 1; one position alone is that expert itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b

from hswarm.core.topology import Topology

Mix = tuple[tuple[int, float], ...]


def pure(expert: int) -> Mix:
    """The mix that is the pool's expert at this position."""
    return ((expert, 1.0),)


def mixed(mix: Mix, expert: int, share: float) -> Mix:
    """`mix` with `share` of it given up to an expert of the pool."""
    shares = {i: (1 - share) * part for i, part in mix}
    shares[expert] = shares.get(expert, 0.0) + share
    return tuple(sorted(shares.items()))


@dataclass(frozen=True, eq=False)
class Term:
    """A node with all that it reads. Made by `Term.of`, which puts `reads` in order and drops what is there twice.

    Two terms are equal if their digests are. Predecessors come in order of size, so the replies that have passed
    through the most hands are read last.
    """

    mix: Mix
    reads: tuple[Term, ...] = ()
    digest: str = field(init=False)
    nodes: tuple[Term, ...] = field(init=False, repr=False)
    """All distinct sub-terms, predecessors first, the term itself last."""
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        text = repr((self.mix, [term.digest for term in self.reads]))
        object.__setattr__(self, "digest", blake2b(text.encode(), digest_size=12).hexdigest())
        object.__setattr__(self, "_hash", hash(self.digest))  # terms are looked up all the time
        below: Iterable[Term] = self.reads[0].nodes if self.reads else ()
        if len(self.reads) > 1:
            below = sorted({node for term in self.reads for node in term.nodes}, key=_place)
        object.__setattr__(self, "nodes", (*below, self))

    @classmethod
    def of(cls, mix: Mix, reads: Iterable[Term] = ()) -> Term:
        """The term with `mix` at its root over `reads`."""
        return cls(mix, tuple(sorted(set(reads), key=_place)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Term) and self.digest == other.digest

    def __hash__(self) -> int:
        return self._hash

    @property
    def size(self) -> int:
        """The number of nodes: calls an answer takes."""
        return len(self.nodes)

    @cached_property
    def topology(self) -> Topology:
        """The graph on `nodes`."""
        number = {node: i for i, node in enumerate(self.nodes)}
        return Topology.of(self.size, ((number[u], number[v]) for v in self.nodes for u in v.reads))

    @classmethod
    def from_graph(cls, topology: Topology, mixes: Sequence[Mix]) -> Term:
        """The term of a graph with a mix at each node; nodes that answer alike become one."""
        made: dict[int, Term] = {}
        for node in topology.order:
            made[node] = cls.of(mixes[node], [made[u] for u in topology.predecessors(node)])
        return made[topology.sink]

    def changed(self, changes: Mapping[Term, Term]) -> Term:
        """The term with nodes replaced, each by the term beside it, and all that reads them made over."""
        made: dict[Term, Term] = {}
        for node in self.nodes:
            above = any(made[u] != u for u in node.reads)  # made over only where something below has changed
            made[node] = changes.get(node) or (Term.of(node.mix, [made[u] for u in node.reads]) if above else node)
        return made[self]

    def text(self, names: Sequence[str]) -> str:
        """For people: "wex(lun, tav(lun))" is wex, who reads lun and tav, who reads lun."""
        name = mix_name(self.mix, names)
        return f"{name}({', '.join(term.text(names) for term in self.reads)})" if self.reads else name


def mix_name(mix: Mix, names: Sequence[str]) -> str:
    """The expert's own name, or each name with its share in percent: "lun50+tav50"."""
    if len(mix) == 1:
        return names[mix[0][0]]
    return "+".join(f"{names[i]}{round(100 * share)}" for i, share in mix)


def _place(term: Term) -> tuple[int, Mix, str]:
    return term.size, term.mix, term.digest
