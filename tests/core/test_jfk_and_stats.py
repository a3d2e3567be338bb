"""JFK-score by hand; intervals cover; the paired test tells a difference from none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hswarm.core.jfk import draw_assignments, jfk_score
from hswarm.core.stats import bootstrap_interval, paired_test


@given(st.integers(1, 20), st.integers(1, 12), st.integers(1, 15), st.integers(0, 1000))
def test_balanced_draws_every_expert_equally_often(count, nodes, experts, seed):
    drawn = draw_assignments(count, nodes, experts, np.random.default_rng(seed))
    times = np.bincount(drawn.ravel(), minlength=experts)
    assert drawn.shape == (count, nodes)
    assert times.max() - times.min() <= 1


def test_independent_draws_cover_and_differ():
    drawn = draw_assignments(400, 5, 4, np.random.default_rng(0), "independent")
    assert np.bincount(drawn.ravel()) == pytest.approx([500] * 4, rel=0.15)


def test_jfk_by_hand():
    # Expert 0: twice in f = 0.6, once in f = 0.3: (2 * 0.6 + 0.3) / 3 = 0.5. Expert 1: once in 0.3. Expert 2: never.
    jfk = jfk_score([[0, 0], [0, 1]], [0.6, 0.3], 3)
    assert jfk.score[:2] == pytest.approx([0.5, 0.3])
    assert np.isnan(jfk.score[2])
    assert jfk.counts.tolist() == [3, 1, 0]
    # sqrt(2/1 * (4 * 0.1^2 + 1 * 0.2^2)) / 3
    assert jfk.error[0] == pytest.approx(np.sqrt(2 * (4 * 0.01 + 0.04)) / 3)
    assert np.isnan(jfk.error[1:]).all()


def test_jfk_leaves_failed_assignments_out():
    jfk = jfk_score([[0, 1], [1, 1]], [np.nan, 0.4], 2)
    assert np.isnan(jfk.score[0])
    assert jfk.score[1] == pytest.approx(0.4)


def test_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.random(80) < 0.4, rng, resamples=400)
        hits += low <= 0.4 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_paired_test():
    rng = np.random.default_rng(0)
    base = (rng.random(300) < 0.4).astype(float)
    better = np.where(rng.random(300) < 0.2, 1.0, base)
    found = paired_test(better, base, rng)
    assert found.difference == pytest.approx((better - base).mean())
    assert 0 < found.low < found.difference < found.high
    assert found.p_value < 0.01
    same = paired_test(base, base, rng)
    assert same == (0, 0, 0, 1)


@pytest.mark.parametrize("scores", [[], [np.nan], [[1.0]]])
def test_refused(scores):
    with pytest.raises(ValueError, match="non-empty row"):
        bootstrap_interval(scores, np.random.default_rng(0))
