"""Intervals and paired tests: known cases, coverage, and the false alarms they may raise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hswarm.core import stats
from hswarm.core.stats import bootstrap_interval, paired_test


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_equal_scores_have_no_width() -> None:
    assert bootstrap_interval([0.25], rng()) == (0.25, 0.25)
    assert bootstrap_interval([1, 1, 1], rng()) == (1, 1)


def test_interval_is_near_the_normal_one() -> None:
    scores = [1.0] * 60 + [0.0] * 40
    low, high = bootstrap_interval(scores, rng())
    half = 1.96 * math.sqrt(0.6 * 0.4 / 100)
    assert low == pytest.approx(0.6 - half, abs=0.012)
    assert high == pytest.approx(0.6 + half, abs=0.012)
    narrow = bootstrap_interval(scores, rng(), level=0.5)
    assert low < narrow.low < 0.6 < narrow.high < high


def test_coverage_is_about_the_level() -> None:
    generator, covered = rng(1), 0
    for _ in range(300):
        low, high = bootstrap_interval(generator.normal(size=40), generator, level=0.9, resamples=400)
        covered += low <= 0 <= high
    assert 0.84 < covered / 300 < 0.94  # deviation 0.017; the percentile bootstrap is a little narrow


def test_portions_change_memory_only(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = rng(2).uniform(size=30)
    whole = bootstrap_interval(scores, rng(), resamples=1000)
    monkeypatch.setattr(stats, "_CELLS", 100)
    assert bootstrap_interval(scores, rng(), resamples=1000) == pytest.approx(whole)
    monkeypatch.setattr(stats, "_CELLS", 7)
    assert bootstrap_interval(scores, rng(), resamples=1000) == pytest.approx(whole)


def test_same_generator_same_interval() -> None:
    scores = rng(2).uniform(size=30)
    assert bootstrap_interval(scores, rng(4)) == bootstrap_interval(scores, rng(4))


@pytest.mark.parametrize("scores", [[], [[1.0]], [1.0, math.nan], [math.inf]])
def test_refuses_what_is_no_row_of_scores(scores: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        bootstrap_interval(scores, rng())
    with pytest.raises(ValueError, match="expected"):
        paired_test(scores, scores, rng())


@pytest.mark.parametrize(("level", "resamples"), [(0, 10), (1, 10), (95, 10), (0.9, 0)])
def test_refuses_options_out_of_range(level: float, resamples: int) -> None:
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval([1.0], rng(), level, resamples)
    with pytest.raises(ValueError, match="level"):
        paired_test([1.0], [0.0], rng(), level, resamples)


def test_paired_refuses_other_examples() -> None:
    with pytest.raises(ValueError, match="got 2 and 1"):
        paired_test([1.0, 0.0], [1.0], rng())


def test_no_difference() -> None:
    assert paired_test([0.5, 1, 0], [0.5, 1, 0], rng()) == (0, 0, 0, 1)


def test_one_example_proves_nothing() -> None:
    assert paired_test([1.0], [0.0], rng()) == (1, 1, 1, 1)


def test_p_value_by_counting() -> None:
    # Of the 8 flips of 0.1, 0.2, 0.3 two reach 0.6, in whatever order they are added; of 2^10 equal ones, two.
    assert paired_test([0.1, 0.2, 0.3], [0, 0, 0], rng()).p_value == pytest.approx(0.25, abs=0.02)
    found = paired_test(np.ones(10), np.zeros(10), rng(), resamples=100_000)
    assert (found.difference, found.low, found.high) == (1, 1, 1)
    assert found.p_value == pytest.approx(2 / 1024, rel=0.3)
    # 0.1, 0.2, -0.3 + 0.4: |sum| >= 0.4 in 10 of 16 flips (sums 1.0, .8, .6, .4, .4, .2, 0, 0 and their negatives)
    assert paired_test([0.1, 0.2, 0, 0.4], [0, 0, 0.3, 0], rng()).p_value == pytest.approx(10 / 16, abs=0.02)


def test_p_value_is_never_zero() -> None:
    assert paired_test(np.ones(200), np.zeros(200), rng(), resamples=99).p_value == 0.01


def test_sides_and_scale() -> None:
    a, b = rng(5).normal(size=12), rng(6).normal(size=12)
    found, swapped = paired_test(a, b, rng()), paired_test(b, a, rng())
    assert swapped.p_value == found.p_value
    assert (swapped.difference, swapped.low) == pytest.approx((-found.difference, -found.high), abs=0.02)
    assert paired_test(a * 1e-14, b * 1e-14, rng()).p_value == found.p_value


def test_false_alarms_are_as_rare_as_promised() -> None:
    generator, alarms = rng(7), 0
    for _ in range(300):
        a, b = generator.normal(size=15), generator.normal(size=15)
        alarms += paired_test(a, b, generator, resamples=400).p_value < 0.1
    assert 0.05 < alarms / 300 < 0.15  # deviation 0.017
