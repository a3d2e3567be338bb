"""Systems that are a part of another: without some nodes, or without some edges."""

from __future__ import annotations

from hswarm.core.topology import reaching
from hswarm.system.system import System


def keep_nodes(system: System, present: frozenset[int]) -> System:
    """`system` with the nodes `present` alone, at least one.

    The predecessors of an absent node get edges to its successors.

    If the sink is absent, the last node in the order of answering takes its place, and its
    predecessors.
    """
    topology = system.topology
    heirs: dict[int, set[int]] = {}  # the nodes that read a node once those between are gone
    for node in reversed(topology.order):
        spoken = [v for u, v in topology.edges if u == node]
        heirs[node] = {v for v in spoken if v in present}.union(*(heirs[v] for v in spoken if v not in present))
    last = [node for node in topology.order if node in present][-1]
    edges = {(u, v) for u in present for v in heirs[u]}
    edges |= {(u, last) for u in present if u != last and not heirs[u]}
    return system.subgraph(present, edges)


def keep_edges(system: System, edges: frozenset[tuple[int, int]]) -> System:
    """`system` with `edges` alone; nodes whose reply no longer reaches the sink are left out."""
    return system.subgraph(reaching(system.topology.sink, edges), edges)
