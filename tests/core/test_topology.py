"""Topology: what it refuses, and its order, stages and JSON on graphs small enough to check by eye."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hswarm.core.topology import Topology

#  0 -> 2 -> 4 <- 3 <- 1, and 0 -> 4: node 0 is heard at two depths
DIAMOND = Topology(5, frozenset({(0, 2), (2, 4), (0, 4), (1, 3), (3, 4)}))


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    size = draw(st.integers(1, 9))
    names = draw(st.permutations(range(size)))
    edges = set()
    for i in range(size - 1):  # each node but the last speaks to later ones, so there is one sink and no cycle
        for j in draw(st.sets(st.integers(i + 1, size - 1), min_size=1)):
            edges.add((names[i], names[j]))
    return Topology(size, frozenset(edges))


def test_a_small_graph_by_eye() -> None:
    assert DIAMOND.sink == 4
    assert DIAMOND.predecessors(4) == (0, 2, 3)
    assert DIAMOND.predecessors(0) == ()
    assert DIAMOND.stages == ((0, 1), (2, 3), (4,))
    assert DIAMOND.order == (0, 1, 2, 3, 4)
    assert DIAMOND.depth == 3


def test_a_stage_is_the_longest_path_not_the_shortest() -> None:
    topology = Topology(4, frozenset({(3, 1), (1, 0), (0, 2), (3, 2)}))
    assert topology.stages == ((3,), (1,), (0,), (2,))
    assert topology.depth == 4


def test_one_node_needs_no_edge() -> None:
    topology = Topology(1, frozenset())
    assert (topology.sink, topology.order, topology.stages, topology.depth) == (0, (0,), ((0,),), 1)


def test_chain_and_star() -> None:
    assert Topology.chain(4).edges == {(0, 1), (1, 2), (2, 3)}
    assert Topology.star(4).edges == {(0, 3), (1, 3), (2, 3)}
    assert (Topology.chain(4).depth, Topology.star(4).depth) == (4, 2)
    assert Topology.chain(1) == Topology.star(1)


@pytest.mark.parametrize(
    ("size", "edges", "message"),
    [
        (0, [], "size 0"),
        (2, [(0, 2)], r"\(0, 2\)"),
        (2, [(-1, 0)], r"\(-1, 0\)"),
        (2, [(0, 1), (1, 1)], r"\(1, 1\)"),
        (4, [(0, 1), (1, 2), (2, 1), (2, 3)], "cycle"),
        (2, [(0, 1), (1, 0)], "cycle"),
        (3, [(0, 1)], r"one sink, got 3 nodes and only 1 edges"),
        (2, [], r"one sink, got 2 nodes and only 0 edges"),
        (2, [(0, 1, 1)], "pairs"),
        (2, [(0.5, 1)], "whole"),
        (2, [0, 1], "pairs"),
        (1.5, [], "whole"),
    ],
)
def test_refusals_name_what_came(size: Any, edges: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Topology(size, edges)


def test_any_iterable_of_pairs_is_normalised() -> None:
    edges: Any = iter(np.array([[0, 1], [0, 1], [1, 2]]))
    topology = Topology(np.int64(3), edges)  # type: ignore[arg-type]
    assert topology == Topology.chain(3)
    assert hash(topology) == hash(Topology.chain(3))
    assert {type(node) for edge in topology.edges for node in edge} | {type(topology.size)} == {int}


@pytest.mark.parametrize("node", [-1, 5])
def test_predecessors_of_no_node(node: int) -> None:
    with pytest.raises(IndexError, match=str(node)):
        DIAMOND.predecessors(node)


@given(topologies())
def test_order_and_stages_respect_every_edge(topology: Topology) -> None:
    place = {node: i for i, node in enumerate(topology.order)}
    stage = {node: i for i, nodes in enumerate(topology.stages) for node in nodes}
    assert sorted(place) == sorted(stage) == list(range(topology.size))
    for u, v in topology.edges:
        assert place[u] < place[v]
        assert stage[u] < stage[v]
    for node in range(topology.size):
        heard = topology.predecessors(node)
        assert set(heard) == {u for u, v in topology.edges if v == node}
        assert stage[node] == max((stage[u] + 1 for u in heard), default=0)
    assert all(list(nodes) == sorted(nodes) for nodes in topology.stages)
    assert topology.order[-1] == topology.sink


@given(topologies())
def test_json_round_trip(topology: Topology) -> None:
    content = topology.to_json()
    assert content["edges"] == sorted(content["edges"])
    assert Topology.from_json(json.loads(json.dumps(content))) == topology
