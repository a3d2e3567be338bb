"""Which piece of work a free worker does next. Knows keys and costs; not engines, processes or machines.

A key is what a worker must have in place for a piece (an expert's digest). A worker stays with what it has in place,
then takes a key that no other works on, the most work first, and helps others only when all are taken: weights move
little, and no worker is idle while pieces wait. Pieces of a key are taken by cost, the greatest first, so that what is
left at the end is small (Graham's longest-first rule: at most 4/3 of the best).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple


class Work(NamedTuple):
    """A piece of work: what must be in place for it, and its cost in any unit (predicted tokens)."""

    key: str
    cost: float


def makespan(work: Sequence[Work], places: int) -> float:
    """When `places` finish `work`, each piece taking its cost as time, with this routing."""
    router, end = Router(places), 0.0
    router.plan(work)
    free = [(0.0, place) for place in range(places)]
    while free:
        now, place = heapq.heappop(free)
        if (i := router.next(place)) is not None:
            end = max(end, now + work[i].cost)
            heapq.heappush(free, (now + work[i].cost, place))
    return end


class Router:
    """Hands out pieces to `places`, 0 to places - 1. What each place has is remembered from plan to plan."""

    def __init__(self, places: int) -> None:
        self._present = [""] * places
        self._held: list[set[str]] = [set() for _ in range(places)]
        self.plan(())

    def plan(self, work: Sequence[Work]) -> None:
        """From now on hand out `work`; the rest of the last plan is dropped."""
        self._work = list(work)
        self._doing: list[str | None] = [None] * len(self._present)
        self._waiting: dict[str, list[int]] = {}
        self._left: dict[str, float] = {}
        for i in sorted(range(len(work)), key=lambda i: (work[i].cost, -i)):
            self.again(i)

    def again(self, i: int) -> None:
        """Piece `i` waits (once more)."""
        key, cost = self._work[i]
        self._waiting.setdefault(key, []).append(i)
        self._left[key] = self._left.get(key, 0.0) + cost

    def next(self, place: int) -> int | None:
        """The next piece for the free `place`; None if none waits."""
        self._doing[place] = None
        if not self._waiting:
            return None
        key = self._choose(place)
        i = self._waiting[key].pop()
        self._left[key] -= self._work[i].cost
        if not self._waiting[key]:
            del self._waiting[key], self._left[key]
        self._present[place] = self._doing[place] = key
        self._held[place].add(key)
        return i

    def lost(self, place: int) -> None:
        """`place` was restarted and has nothing in place."""
        self._present[place], self._doing[place] = "", None
        self._held[place].clear()

    def _choose(self, place: int) -> str:
        if self._present[place] in self._waiting:
            return self._present[place]
        alone = [key for key in self._waiting if key not in self._doing]
        if alone:
            return max(alone, key=lambda key: (key in self._held[place], self._left[key]))
        return max(self._waiting, key=lambda key: self._left[key] / self._doing.count(key))
