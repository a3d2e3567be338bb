"""JFK-score by hand, and the two ways to draw assignments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hswarm.core.jfk import draw_assignments, jfk_score

NAN = math.nan


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_balanced_is_balanced(count: int, nodes: int, experts: int, seed: int) -> None:
    drawn = draw_assignments(count, nodes, experts, rng(seed))
    often = np.bincount(drawn.ravel(), minlength=experts)
    assert drawn.shape == (count, nodes)
    assert len(often) == experts
    assert often.max() - often.min() <= 1
    assert np.array_equal(drawn, draw_assignments(count, nodes, experts, rng(seed)))


def test_who_has_one_more_is_random() -> None:
    more = {tuple(np.bincount(draw_assignments(1, 4, 3, rng(seed)).ravel())) for seed in range(40)}
    assert more == {(2, 1, 1), (1, 2, 1), (1, 1, 2)}


def test_balanced_places_are_shuffled() -> None:
    """An expert may occur twice in one assignment, and every place sees every expert."""
    drawn = np.stack([draw_assignments(2, 3, 3, rng(seed)) for seed in range(200)])
    assert any(len(set(row)) < 3 for row in drawn.reshape(-1, 3).tolist())
    for place in drawn.reshape(200, 6).T:
        assert np.bincount(place, minlength=3).min() > 40  # 66.7 expected, deviation 6.7


def test_independent_draws_are_uniform_and_may_be_uneven() -> None:
    drawn = draw_assignments(1000, 3, 3, rng(), "independent")
    often = np.bincount(drawn.ravel(), minlength=3)
    assert len(often) == 3
    assert abs(often - 1000).max() < 110  # deviation 25.8
    assert any(
        len(np.unique(draw_assignments(1, 4, 4, rng(seed), "independent"))) < 4 for seed in range(20)
    )  # 4!/4^4 = 9 % have all


@pytest.mark.parametrize("arguments", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_draw_refuses_nothing_to_draw(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        draw_assignments(*arguments, rng())


def test_draw_refuses_an_unknown_way() -> None:
    way: Any = "balancd"
    with pytest.raises(ValueError, match="'balancd'"):
        draw_assignments(1, 1, 1, rng(), way)


def test_score_and_error_by_hand() -> None:
    # Counts by assignment: expert 0: 2, 0, 1; expert 1: 1, 1, 1; expert 2: 0, 2, 1; expert 3: never.
    found = jfk_score([[0, 0, 1], [1, 2, 2], [0, 1, 2]], [1.0, 0.0, 0.5], 4)
    assert found.score == pytest.approx([2.5 / 3, 0.5, 0.5 / 3, NAN], nan_ok=True)
    assert found.counts.tolist() == [3, 3, 3, 0]
    # 0: sqrt(2 (4/36 + 1/9)) / 3 = 2/9; 1: sqrt(3/2 * 0.5) / 3, the error of a plain mean; 2: as 0
    assert found.error == pytest.approx([2 / 9, math.sqrt(0.75) / 3, 2 / 9, NAN], nan_ok=True)


def test_failed_assignments_are_left_out() -> None:
    found = jfk_score([[0, 1], [1, 1], [0, 2]], [0.4, NAN, 0.8], 3)
    assert found.score == pytest.approx([0.6, 0.4, 0.8])
    assert found.counts.tolist() == [2, 1, 1]
    assert np.isnan(found.error).tolist() == [False, True, True]
    nothing = jfk_score([[0, 1]], [NAN], 2)
    assert np.isnan(nothing.score).all()
    assert nothing.counts.tolist() == [0, 0]


@given(st.integers(2, 8), st.integers(1, 6), st.integers(1, 5), st.integers(0, 99))
def test_score_is_the_mean_over_places(count: int, nodes: int, experts: int, seed: int) -> None:
    assignments = draw_assignments(count, nodes, experts, rng(seed), "independent")
    utilities = rng(seed + 1).normal(size=count)
    found = jfk_score(assignments, utilities, experts)
    for expert in range(experts):
        values = [utilities[j] for j in range(count) for place in range(nodes) if assignments[j, place] == expert]
        assert found.counts[expert] == len(values)
        assert found.score[expert] == pytest.approx(np.mean(values) if values else NAN, nan_ok=True)
        held = sum(expert in row for row in assignments.tolist())
        assert np.isnan(found.error[expert]) == (held < 2)


@pytest.mark.parametrize(
    ("assignments", "utilities"),
    [
        ([0, 1], [1.0, 2.0]),
        ([[0, 1]], [1.0, 2.0]),
        ([[0, 2]], [1.0]),
        ([[0, -1]], [1.0]),
        ([[0, 0.5]], [1.0]),
        ([[0, 1]], [math.inf]),
    ],
)
def test_score_refuses(assignments: Any, utilities: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        jfk_score(assignments, utilities, 2)
