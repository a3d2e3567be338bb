"""The swarm: ask, tell, stop, restart, and a state that goes on bit for bit."""

import io
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from hswarm import Swarm, SwarmSettings


def swarm(positions: ArrayLike, rng: int = 0, **settings: Any) -> Swarm:
    return Swarm(np.array(positions, dtype=float), SwarmSettings(**settings), np.random.default_rng(rng))


def test_one_step_by_hand() -> None:
    # r = 1 for all: C = 0.2 + 0.3 + 0.4 + 0.1 = 1. Best is 4 (utility 2), worst is 0 (utility 0).
    one = swarm(
        [[0.0], [4.0], [2.0]],
        inertia=0.2,
        cognitive=0.3,
        social=0.4,
        repel=0.1,
        step_length=0.5,
        velocity="zero",
        coefficients_random=False,
    )
    one.ask()
    one.tell([0, 2, 1])
    # x = 2: v = 0.4 (4 - 2) + 0.1 (2 - 0) = 1.0, x = 2 + 0.5. x = 4: v = 0.1 (4 - 0). x = 0: v = 0.4 * 4.
    assert one.ask().ravel() == pytest.approx([0.8, 4.2, 2.5])
    assert one.step_length == pytest.approx(0.475)


def test_two_asks_are_equal_and_the_first_is_the_start() -> None:
    start = np.random.default_rng(1).normal(size=(4, 3))
    one = swarm(start)
    assert np.array_equal(one.ask(), start)
    one.tell([1, 2, 3, 4])
    moved = one.ask()
    assert not np.array_equal(moved, start)
    assert np.array_equal(moved, one.ask())


def test_the_answer_of_ask_is_the_callers_own() -> None:
    one = swarm([[1.0], [2.0]])
    one.ask()[:] = 99
    assert one.ask().max() == 2


def test_finds_the_top_of_a_hill() -> None:
    one = Swarm(np.random.default_rng(0).uniform(-2, 2, (12, 3)), SwarmSettings(patience=15), np.random.default_rng(0))
    while not one.stop():
        one.tell([-np.sum((x - 0.5) ** 2) for x in one.ask()])
    position, utility = one.best_position, one.best_utility
    assert utility > -0.02
    assert position == pytest.approx([0.5] * 3, abs=0.15)


def test_failed_is_never_best_nor_worst() -> None:
    one = swarm([[0.0], [1.0], [2.0]], velocity="zero", coefficients_random=False, repel=0)
    one.ask()
    one.tell([np.nan, np.nan, np.nan])
    assert one.best_utility == -np.inf
    assert np.array_equal(one.ask(), [[0.0], [1.0], [2.0]])
    one.tell([np.nan, -5, -3])
    assert (one.best_position.tolist(), one.best_utility) == ([2.0], -3)


def test_utilities_below_minus_one_and_above_hundred_count() -> None:
    one = swarm([[0.0], [1.0]])
    one.ask()
    one.tell([-500, 1e6])
    assert one.best_utility == 1e6


def test_stop_says_why() -> None:
    one = swarm([[0.0], [1.0]], patience=3)
    for _ in range(3):
        one.ask()
        one.tell([1, 0])
    assert not one.stop()
    one.ask()
    one.tell([1, 0])
    assert one.stop() == {"patience": 3}


def test_step_decays_to_its_floor() -> None:
    one = swarm([[0.0], [1.0]], step_length=1.0, step_factor=0.5, min_step_length=0.3)
    lengths = []
    for _ in range(4):
        one.ask()
        one.tell([0, 1])
        one.ask()
        lengths.append(one.step_length)
    assert lengths == [0.5, 0.3, 0.3, 0.3]


def test_a_stray_particle_returns_once_then_cools_down() -> None:
    one = swarm([[0.0], [10.0]], patience=2, restart_patience=1.0, velocity="zero", inertia=0.0, cognitive=0.0)
    at_best = []
    for utilities in ([1, 2], [0, 2], [0, 2], [0, 2], [0, 2], [0, 2], [0, 2]):
        at_best.append(float(one.ask()[0, 0]) == 0.0)
        one.tell(utilities)
    # Particle 0 is best at the start (0.0); after 2 tells without gain it is put back there; again 2 tells later.
    assert at_best == [True, False, False, True, False, True, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_state_goes_on_bit_for_bit(dtype: type[np.floating]) -> None:
    start = np.random.default_rng(3).normal(size=(5, 4)).astype(dtype)
    settings = SwarmSettings()
    first = Swarm(start, settings, np.random.default_rng(7))

    def play(one: Swarm, rounds: int) -> NDArray[np.floating]:
        for _ in range(rounds):
            x = one.ask()
            one.tell(np.sin(x).sum(axis=1))
        return one.ask()

    play(first, 3)
    state = first.state()
    arrays: dict[str, Any] = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
    plain = json.loads(json.dumps({key: value for key, value in state.items() if key not in arrays}))
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    second = Swarm.from_state({**plain, **np.load(file)}, settings)
    assert play(first, 4).tobytes() == play(second, 4).tobytes()
    assert first.ask().dtype == dtype


@pytest.mark.parametrize("settings", [{"step_length": 0}, {"patience": 0}, {"inertia": -1}, {"step_factor": 2}])
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        SwarmSettings(**settings)


def test_bad_calls() -> None:
    one = swarm([[0.0], [1.0]])
    with pytest.raises(ValueError, match="expected 2 utilities"):
        one.tell([1])
    with pytest.raises(ValueError, match="infinite one"):
        one.tell([1, np.inf])
    with pytest.raises(ValueError, match="finite"):
        swarm([[np.nan]])


def test_one_particle_alone_stays_finite() -> None:
    one = swarm([[1.0, 2.0]])
    for _ in range(5):
        one.tell([0.0 * one.ask().sum()])
    assert np.isfinite(one.ask()).all()
