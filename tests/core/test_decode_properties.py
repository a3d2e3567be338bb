"""G-Decode: every finite matrix decodes, the argmax by an oracle, the draws by their frequencies."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hswarm.core.decode import g_decode
from hswarm.core.topology import Topology

LARGEST = np.finfo(np.float64).max
entries = st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e308, -1e308, LARGEST, -LARGEST, 1e-300]) | st.floats(
    allow_nan=False, allow_infinity=False
)


@st.composite
def matrices(draw: st.DrawFn, elements: st.SearchStrategy[float] = entries) -> np.ndarray[Any, Any]:
    size = draw(st.integers(1, 12))
    rows = draw(st.lists(st.lists(elements, min_size=size, max_size=size), min_size=size, max_size=size))
    if draw(st.booleans()):
        rows = [rows[0]] * size  # tied rows
    return np.array(rows, dtype=np.float64)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(matrices(), st.floats(0, 1, exclude_max=True), st.integers(1, 4), st.integers(0, 99))
def test_any_finite_matrix_decodes(matrix: np.ndarray[Any, Any], top_p: float, out_edges: int, seed: int) -> None:
    before = matrix.copy()
    matrix.setflags(write=False)
    topology = g_decode(matrix, rng(seed), top_p, out_edges=out_edges)  # Topology itself checks for cycles and sinks
    assert np.array_equal(matrix, before)
    assert topology.size == len(matrix)
    assert len(topology.edges) == sum(min(out_edges, joined) for joined in range(1, len(matrix)))
    assert g_decode(matrix, rng(seed), top_p, out_edges=out_edges) == topology
    spoken = Counter(u for u, _ in topology.edges)
    assert all(1 <= spoken[u] <= out_edges for u in range(len(matrix)) if u != topology.sink)


def oracle(matrix: list[list[int]], out_edges: int) -> set[tuple[int, int]]:
    """Argmax decoding of whole numbers, whose sums are exact; max over (value, index) settles ties."""
    size = len(matrix)
    degree = [sum(value for v, value in enumerate(row) if v != u) for u, row in enumerate(matrix)]
    graph = [max(range(size), key=lambda u: (-degree[u], u))]
    edges: set[tuple[int, int]] = set()
    while len(graph) < size:
        node = max(set(range(size)) - set(graph), key=lambda u: (degree[u], u))
        ranked = sorted(graph, key=lambda v: (matrix[node][v], v), reverse=True)
        edges |= {(node, v) for v in ranked[:out_edges]}
        graph.append(node)
    return edges


@given(matrices(st.integers(-2, 2).map(float)), st.integers(1, 4))
def test_top_p_zero_is_argmax_with_ties_to_the_higher_index(matrix: np.ndarray[Any, Any], out_edges: int) -> None:
    topology = g_decode(matrix, rng(), out_edges=out_edges)
    assert topology.edges == oracle(matrix.astype(int).tolist(), out_edges)


@given(matrices())
def test_top_p_zero_leaves_the_generator_alone(matrix: np.ndarray[Any, Any]) -> None:
    generator = rng()
    before = generator.bit_generator.state
    g_decode(matrix, generator)
    assert generator.bit_generator.state == before


def test_by_hand() -> None:
    # Outdegrees 1.0, 0.5, 1.5 (the diagonal counts nothing): sink 1; then 2, to 1; then 0, to 2 (0.9), not 1 (0.1).
    matrix = [[9.0, 0.1, 0.9], [0.2, -9.0, 0.3], [0.8, 0.7, 9.0]]
    assert g_decode(matrix, rng()).edges == {(2, 1), (0, 2)}
    assert g_decode(matrix, rng(), out_edges=2).edges == {(2, 1), (0, 2), (0, 1)}


def test_all_equal_is_a_star_to_the_last() -> None:
    assert g_decode(np.zeros((5, 5)), rng()) == Topology.star(5)


def test_rows_of_equal_entries_in_another_order_tie() -> None:
    # Summed left to right, row 3 is 0.6000000000000001 and the others 0.6 at least once: not the sink then.
    matrix = [[0, 0.3, 0.2, 0.1], [0.3, 0, 0.2, 0.1], [0.3, 0.2, 0, 0.1], [0.1, 0.2, 0.3, 0]]
    assert g_decode(matrix, rng()).sink == 3


def test_a_negative_outdegree_is_the_sink() -> None:
    assert g_decode([[0, -5], [3, 0]], rng()).sink == 0  # 1/-5 < 1/3 would say 1
    assert g_decode([[0, 1, -1], [2, 0, 2], [1, 1, 0]], rng()).sink == 0  # 1/0 says nothing


def test_sums_beyond_the_largest_float_keep_their_order() -> None:
    # Outdegrees 3.0e308, 2.0e308, 1.5e308: sink 2; 0 (to 2) before 1 (to 0, 1.1e308).
    matrix = [[0, 1.6e308, 1.4e308], [1.1e308, 0, 0.9e308], [1e308, 0.5e308, 0]]
    assert g_decode(matrix, rng()).edges == {(0, 2), (1, 0)}


def sinks(matrix: Any, top_p: float, draws: int = 3000) -> dict[int, float]:
    generator = rng(5)
    counts = Counter(g_decode(matrix, generator, top_p).sink for _ in range(draws))
    return {node: count / draws for node, count in counts.items()}


OUTDEGREES_1_2_4 = [[0, 0.5, 0.5], [1, 0, 1], [2, 2, 0]]  # shares 4/7, 2/7, 1/7


@pytest.mark.parametrize(
    ("top_p", "expected"), [(0.5, {0: 1.0}), (0.6, {0: 2 / 3, 1: 1 / 3}), (0.9, {0: 4 / 7, 1: 2 / 7, 2: 1 / 7})]
)
def test_the_sink_is_drawn_by_inverse_outdegree(top_p: float, expected: dict[int, float]) -> None:
    seen = sinks(OUTDEGREES_1_2_4, top_p)
    assert seen.keys() == expected.keys()
    assert all(abs(seen[node] - share) < 0.035 for node, share in expected.items())


def test_the_sink_of_outdegrees_of_zero_or_less() -> None:
    seen = sinks([[0, 0], [1, 0]], 0.995)  # weights 1/0.01 and 1/1.01
    assert abs(seen[0] - 100 / (100 + 1 / 1.01)) < 0.006
    assert all(abs(share - 0.5) < 0.04 for share in sinks([[0, -1], [-1, 0]], 0.9).values())


def test_the_listener_is_drawn_by_softmax_of_the_row() -> None:
    # Sink 2 and speaker 1 exceed top_p alone; 0 then chooses between 1 (weight 1) and 2 (weight 2).
    matrix: list[list[float]] = [[0, 0, math.log(2)], [20, 0, 20], [-50, -50, 0]]
    generator = rng(6)
    drawn = Counter(g_decode(matrix, generator, 0.7).edges for _ in range(3000))
    assert drawn.keys() == {frozenset({(1, 2), (0, 1)}), frozenset({(1, 2), (0, 2)})}
    assert abs(drawn[frozenset({(1, 2), (0, 2)})] / 3000 - 2 / 3) < 0.035


@pytest.mark.parametrize(
    "matrix", [[[0, math.nan], [0, 0]], [[0, math.inf], [0, 0]], [[0, 1]], [0, 1], np.zeros((0, 0))]
)
def test_refuses_what_is_not_finite_and_square(matrix: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        g_decode(matrix, rng())


@pytest.mark.parametrize(("top_p", "out_edges"), [(1.0, 1), (-0.1, 1), (math.nan, 1), (0.5, 0)])
def test_refuses_options_out_of_range(top_p: float, out_edges: int) -> None:
    with pytest.raises(ValueError, match="top_p"):
        g_decode(np.zeros((2, 2)), rng(), top_p, out_edges=out_edges)


def test_the_least_outdegree_is_the_sink_where_weights_tie_by_rounding() -> None:
    # Outdegrees -1, 0, 1e200: beside 1e200 the first two weigh the same, and a tie would go to node 1.
    assert g_decode(np.array([[0, -1, 0], [0, 0, 0], [0, 1e200, 0]]), rng()).sink == 0


def test_a_mass_equal_to_top_p_does_not_exceed_it() -> None:
    assert sinks([[0, 1], [3, 0]], 0.75, 200).keys() == {0, 1}  # 3/4 and 1/4
