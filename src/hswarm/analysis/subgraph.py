"""Systems that are a part of another: without some nodes, or without some edges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hswarm.core.topology import Topology
from hswarm.system.system import System


def keep_nodes(system: System, present: frozenset[int]) -> System:
    """`system` with the nodes `present` alone, at least one. Who spoke to an absent node speaks to those it spoke to.

    If the sink is absent, the last node in the order of answering takes its place: who would speak to the sink speaks
    to it.
    """
    topology = system.topology
    heirs: dict[int, set[int]] = {}  # who hears a node in the end
    for node in reversed(topology.order):
        spoken = [v for u, v in topology.edges if u == node]
        heirs[node] = {v for v in spoken if v in present}.union(*(heirs[v] for v in spoken if v not in present))
    last = [node for node in topology.order if node in present][-1]
    edges = {(u, v) for u in present for v in heirs[u]}
    edges |= {(u, last) for u in present if u != last and not heirs[u]}
    return part(system, present, edges)


def keep_edges(system: System, edges: frozenset[tuple[int, int]]) -> System:
    """`system` with `edges` alone; nodes whose word does not come to the sink any more are left out."""
    reaching, ahead = {system.topology.sink}, [system.topology.sink]
    while ahead:
        node = ahead.pop()
        new = {u for u, v in edges if v == node} - reaching
        reaching |= new
        ahead += new
    return part(system, reaching, {(u, v) for u, v in edges if v in reaching})


def part(system: System, nodes: Iterable[int], edges: Iterable[tuple[int, int]]) -> System:
    """The system of `nodes`, numbered anew in their order, and `edges` between them."""
    kept = sorted(nodes)
    number = {node: i for i, node in enumerate(kept)}
    return replace(
        system,
        topology=Topology.of(len(kept), ((number[u], number[v]) for u, v in edges)),
        experts=tuple(system.experts[node] for node in kept),
        seeds=tuple(system.seeds[node] for node in kept) if system.seeds else (),
    )
