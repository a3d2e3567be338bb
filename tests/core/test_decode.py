"""G-Decode: any finite matrix decodes; golden cases are worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from hswarm import Topology, g_decode
from hswarm.core.decode import encoded

finite = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e308, -1e308, 5e-324])
)
matrices = st.integers(1, 12).flatmap(lambda n: hnp.arrays(np.float64, (n, n), elements=finite))


@given(matrices, st.floats(0, 0.999), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_any_finite_matrix_decodes_and_is_not_written_to(
    matrix: NDArray[np.float64], top_p: float, out_edges: int, seed: int
) -> None:
    before = matrix.copy()
    matrix.flags.writeable = False
    topology = g_decode(matrix, np.random.default_rng(seed), top_p, out_edges=out_edges)
    again = g_decode(matrix, np.random.default_rng(seed), top_p, out_edges=out_edges)
    assert topology == again
    assert topology.size == len(matrix)
    assert np.array_equal(matrix, before)
    if out_edges == 1:
        assert len(topology.edges) == topology.size - 1


@given(matrices)
def test_argmax_leaves_the_generator_alone(matrix: NDArray[np.float64]) -> None:
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    g_decode(matrix, rng)
    assert rng.bit_generator.state == state


@given(st.integers(1, 9).flatmap(lambda n: hnp.arrays(np.float64, (n, n), elements=st.floats(0, 1))))
def test_an_encoded_tree_decodes_to_itself(matrix: NDArray[np.float64]) -> None:
    tree = g_decode(matrix, np.random.default_rng(0))
    made = encoded(tree)
    assert g_decode(made, np.random.default_rng(0)) == tree
    assert 0 <= made.min() <= made.max() <= 1


def test_a_graph_that_is_no_tree_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="in-tree"):
        encoded(Topology.of(3, {(0, 1), (0, 2), (1, 2)}))


def test_by_hand() -> None:
    # Outdegrees 0.3, 1.1, 0.9: node 0 is the sink; 1 joins first and speaks to 0; 2 prefers 1 (0.6) to 0 (0.3).
    matrix = [[9.0, 0.1, 0.2], [0.4, 9.0, 0.7], [0.3, 0.6, 9.0]]
    assert g_decode(matrix, np.random.default_rng(0)).edges == {(1, 0), (2, 1)}


def test_ties_take_the_higher_index() -> None:
    topology = g_decode(np.ones((3, 3)), np.random.default_rng(0))
    assert topology.sink == 2
    assert topology.edges == {(1, 2), (0, 2)}


def test_a_weight_of_zero_is_an_edge_like_any_other() -> None:
    # Node 1 must choose between 0.0 (to node 0) and -5 (to node 2).
    matrix = np.array([[0, -9.0, -9.0], [0.0, 0, -5.0], [1.0, 1.0, 0]])
    assert (1, 0) in g_decode(matrix, np.random.default_rng(0)).edges


def test_negative_rows_keep_the_ranking_of_the_sink() -> None:
    matrix = np.array([[0, -1.0, -1.0], [-3.0, 0, -3.0], [2.0, 2.0, 0]])
    assert g_decode(matrix, np.random.default_rng(0)).sink == 1


def test_top_p_samples_the_sink_by_inverse_outdegree() -> None:
    # Outdegrees 1 and 3: the sink is node 0 with probability 3/4.
    matrix = np.array([[0, 1.0], [3.0, 0]])
    rng = np.random.default_rng(0)
    share = np.mean([g_decode(matrix, rng, 0.99).sink == 0 for _ in range(4000)])
    assert share == pytest.approx(0.75, abs=0.03)


def test_top_p_keeps_the_smallest_set_that_exceeds_it() -> None:
    matrix = np.array([[0, 1.0], [3.0, 0]])  # masses 0.75 and 0.25
    rng = np.random.default_rng(0)
    assert {g_decode(matrix, rng, 0.74).sink for _ in range(200)} == {0}
    assert {g_decode(matrix, rng, 0.75).sink for _ in range(200)} == {0, 1}


def test_more_edges_a_node() -> None:
    topology = g_decode(np.random.default_rng(0).uniform(0, 1, (6, 6)), np.random.default_rng(0), out_edges=9)
    assert len(topology.edges) == 15  # all pairs


def test_independent_edges_by_hand() -> None:
    # Outdegrees 0.3, 9, 4: node 0 is the sink (top_p 0), 1 joins first and has only 0 to choose. Node 2 has an edge to 0
    # with probability 1 / (1 + e^2) = 0.119 and to 1 with 0.881, independently: both 0.105, only 0 0.014, only 1 or
    # none (then the likeliest, which is 1) 0.881.
    matrix = np.array([[0, 0.1, 0.2], [4.5, 0, 4.5], [1.0, 3.0, 0]])
    rng = np.random.default_rng(0)
    drawn = [g_decode(matrix, rng, edges="independent").edges - {(1, 0)} for _ in range(6000)]
    shares = [np.mean([edges == wanted for edges in drawn]) for wanted in ({(2, 0), (2, 1)}, {(2, 0)}, {(2, 1)})]
    assert shares == pytest.approx([0.105, 0.014, 0.881], abs=0.015)


@given(matrices, st.floats(0, 0.999), st.integers(0, 2**32 - 1))
def test_independent_edges_leave_no_node_without_an_edge(matrix: np.ndarray, top_p: float, seed: int) -> None:
    topology = g_decode(matrix, np.random.default_rng(seed), top_p, edges="independent")
    assert topology == g_decode(matrix, np.random.default_rng(seed), top_p, edges="independent")
    assert {u for u, _ in topology.edges} == set(range(topology.size)) - {topology.sink}


def test_independent_edges_follow_the_order_of_the_graph() -> None:
    # Ones everywhere: nodes join as 2, 1, 0; node 0 may have edges to both, and often has.
    rng = np.random.default_rng(0)
    found = [g_decode(np.ones((3, 3)), rng, edges="independent").edges for _ in range(400)]
    assert {len(edges) for edges in found} == {2, 3}
    assert np.mean([len(edges) == 3 for edges in found]) == pytest.approx(0.25, abs=0.07)


@pytest.mark.parametrize("matrix", [[[1.0, 2.0]], [], [[np.nan]], [[0, np.inf], [0, 0]], 3.0])
def test_refused(matrix: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="expected"):
        g_decode(matrix, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("size", "edges", "word"),
    [
        (0, [], "at least one"),
        (2, [(0, 0), (0, 1)], "different"),
        (2, [(0, 5)], "different"),
        (2, [], "one sink"),
        (3, [(0, 1), (1, 0), (0, 2)], "cycle"),
    ],
)
def test_topology_checks(size: int, edges: list[tuple[int, int]], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Topology.of(size, edges)


def test_topology_stages_and_json() -> None:
    topology = Topology.of(5, [(0, 2), (1, 2), (2, 4), (3, 4)])
    assert topology.stages == ((0, 1, 3), (2,), (4,))
    assert topology.predecessors(4) == (2, 3)
    assert topology.sink == 4
    assert Topology.from_json(topology.to_json()) == topology
    assert Topology.chain(1).order == (0,)
    assert Topology.star(4).predecessors(3) == (0, 1, 2)
