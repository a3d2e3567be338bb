"""The neighbours of a term: every system that differs from it by one move.

root      a node on top, which reads the term        blend    a node's expert gives up a share to another
between   a node on an edge                          link     an edge between two nodes
replace   another expert at a node                   cut      an edge less
remove    a node less; its readers read what it read join     a root over two terms
leaf      a node without predecessors, read by a node graft   the root reads a part of another term
swap      a node and one that it reads change places
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hswarm.methods.growth.terms import Mix, Term, mixed, pure


class Move(NamedTuple):
    """A neighbour, the kind of move that leads to it, and the term it leads away from."""

    term: Term
    kind: str
    parent: Term


class Moves:
    """All moves over `experts` experts up to `nodes` nodes.

    `groups` are the positions of experts whose weights can be added (none: no blends); `shares` is what a blend gives
    to the other expert. Neighbours of a term are kept while it is in the elite.
    """

    def __init__(
        self,
        experts: int,
        nodes: int,
        groups: Sequence[Sequence[int]] = (),
        shares: Sequence[float] = (0.5,),
        roles: bool = True,
    ) -> None:
        self._experts, self._nodes, self._shares, self._roles = range(experts), nodes, shares, roles
        self._group = {i: group for group in groups if len(group) > 1 for i in group}
        self._known: dict[Term, list[Move]] = {}

    def around(self, elite: Sequence[Term]) -> list[Move]:
        """The neighbours of all terms of `elite`, each once, by the first move that leads there."""
        found: dict[Term, Move] = {}
        before, self._known = self._known, {}
        for term in elite:
            self._known[term] = before.get(term) or [m for m in self._alone(term) if m.term.size <= self._nodes]
            for move in self._known[term]:
                found.setdefault(move.term, move)
        if self._roles:
            for move in self._together(elite):
                if move.term.size <= self._nodes:
                    found.setdefault(move.term, move)
        return list(found.values())

    def _alone(self, term: Term) -> Iterator[Move]:
        for node in term.nodes:
            for kind, new in self._of_node(node):
                yield Move(term.changed({node: new}), kind, term)
        if self._roles:
            for expert in self._experts:
                yield Move(Term.of(pure(expert), [term]), "root", term)
            for node in term.nodes[:-1]:
                yield from (Move(shorter, "remove", term) for shorter in [_without(term, node)])
            if len(term.reads) == 1:
                yield Move(term.reads[0], "remove", term)

    def _of_node(self, node: Term) -> Iterator[tuple[str, Term]]:
        """What may stand in a node's place, but for moves of the term as a whole."""
        for mix in self._mixes(node.mix):
            yield ("blend" if len(mix) > 1 else "replace"), Term.of(mix, node.reads)
        if not self._roles:
            return
        for expert in self._experts:
            yield "leaf", Term.of(node.mix, [*node.reads, Term.of(pure(expert))])
        for read in node.reads:
            others = [term for term in node.reads if term != read]
            yield "cut", Term.of(node.mix, others)
            yield "swap", Term.of(read.mix, [*others, Term.of(node.mix, read.reads)])
            for expert in self._experts:
                yield "between", Term.of(node.mix, [*others, Term.of(pure(expert), [read])])
        for below in node.nodes[:-1]:
            if below not in node.reads:
                yield "link", Term.of(node.mix, [*node.reads, below])

    def _mixes(self, mix: Mix) -> Iterator[Mix]:
        """Other experts that may stand where `mix` stands."""
        if self._roles:
            yield from (pure(expert) for expert in self._experts if pure(expert) != mix)
        yield from self.blends(mix)

    def blends(self, mix: Mix) -> Iterator[Mix]:
        """`mix` with a share of another expert, for all others whose weights can be added to it."""
        group = self._group.get(mix[0][0], ())
        for expert in group:
            if any(i != expert for i, _ in mix):
                for share in self._shares:
                    yield mixed(mix, expert, share)

    def _together(self, elite: Sequence[Term]) -> Iterator[Move]:
        for i, term in enumerate(elite):
            for other in elite[:i]:
                for expert in self._experts:
                    yield Move(Term.of(pure(expert), [term, other]), "join", other)
            for other in elite:
                for part in other.nodes:
                    if other != term and part not in term.nodes:
                        yield Move(Term.of(term.mix, [*term.reads, part]), "graft", term)


def _without(term: Term, gone: Term) -> Term:
    """`term` less a node that is not its root: who read it reads what it read."""
    made: dict[Term, Term] = {}
    for node in term.nodes:
        reads = [made[u] for u in node.reads if u != gone]
        if gone in node.reads:
            reads += [made[u] for u in gone.reads]
        made[node] = Term.of(node.mix, reads)
    return made[term]
