"""Routing in virtual time: no worker idles while work waits, weights move little, tokens are balanced, not counts."""

import heapq

import numpy as np
import pytest

from hswarm.workers.router import Router, Work


def play(router: Router, work: list[Work], places: int, move: float = 0.0) -> tuple[float, int, dict[int, float]]:
    """(time when all is done, how often a place changed its key, busy time of each place)."""
    router.plan(work)
    free = [(0.0, place) for place in range(places)]
    heapq.heapify(free)
    present: dict[int, str] = {}
    busy: dict[int, float] = {}
    moves, done = 0, []
    while free:
        now, place = heapq.heappop(free)
        if (i := router.next(place)) is None:
            continue
        done.append(i)
        took = work[i].cost
        if present.get(place) != work[i].key:
            took, moves, present[place] = took + move, moves + 1, work[i].key
        busy[place] = busy.get(place, 0.0) + took
        heapq.heappush(free, (now + took, place))
    assert sorted(done) == list(range(len(work)))
    return max(busy.values()), moves, busy


def paper(rng: np.random.Generator, keys: int = 10, batches: int = 63) -> list[Work]:
    return [Work(f"expert-{k}", float(rng.uniform(20, 60))) for k in range(keys) for _ in range(batches)]


@pytest.mark.parametrize("places", [1, 2, 3, 8, 16, 64])
def test_work_is_balanced_by_cost(places: int) -> None:
    work = paper(np.random.default_rng(0))
    span, _, _ = play(Router(places), work, places)
    whole = sum(piece.cost for piece in work)
    assert span <= whole / places + 60  # no worse than one piece beyond an even share


def test_uneven_costs_are_not_split_by_count() -> None:
    work = [Work("long", 100.0)] * 10 + [Work("short", 1.0)] * 100
    span, _, busy = play(Router(2), work, 2)
    assert span <= 600  # by count one place would have had nearly all the long ones: 1000
    assert max(busy.values()) - min(busy.values()) <= 100


@pytest.mark.parametrize("places", [2, 5, 8])
def test_weights_move_little(places: int) -> None:
    work = paper(np.random.default_rng(1))
    router = Router(places)
    for _ in range(3):
        assert (
            play(router, work, places)[1] <= 10 + 2 * places
        )  # each key once, and some help at the end; dealt out in turn it would be 630


def test_what_was_lost_is_done_again_and_a_new_worker_has_nothing() -> None:
    router = Router(2)
    router.plan([Work("a", 1.0), Work("b", 1.0)])
    taken = router.next(0)
    router.lost(0)
    assert taken is not None
    router.again(taken)
    assert {router.next(1), router.next(1)} == {0, 1}
    assert router.next(0) is None
