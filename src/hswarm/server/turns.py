"""Whose turn it is: clients have equal shares of the engine's time, and so have the requests of each client.

The seconds that each has had are counted. Whoever has had over `SLACK` seconds more than the one that had least waits;
within that slack the batcher is free to make long batches. Newcomers begin at the level of those who were served last,
so that nobody saves up time by being away (start-time fair queueing, Goyal et al. 1996; for language models the
virtual token counter, arXiv 2401.00588, which counts tokens where this counts seconds).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, field

SLACK = 1.0  # seconds
_KEPT = 4096  # of those who have left with more than their share


@dataclass
class Turns:
    """The seconds that each of several has had; `now` is the level of those who were served last."""

    now: float = 0.0
    _had: dict[Hashable, float] = field(default_factory=dict)

    def join(self, who: Hashable) -> None:
        """`who` comes, or comes back."""
        self._had[who] = max(self._had.get(who, 0.0), self.now)

    def charge(self, who: Hashable, seconds: float) -> None:
        """`who` had that many seconds; it may have left meanwhile."""
        self._had[who] = self._had.get(who, self.now) + seconds

    def leave(self, who: Hashable) -> None:
        """`who` goes. If it has had more than those who were served last, that is remembered."""
        if self._had.get(who, 0.0) <= self.now or len(self._had) > _KEPT:
            self._had.pop(who, None)

    def due(self, waiting: Collection[Hashable]) -> set[Hashable]:
        """Those of `waiting` whose turn it is: at least one."""
        least = self._least(waiting)
        return {who for who in waiting if self._had.get(who, self.now) <= least + SLACK}

    def ahead(self, waiting: Collection[Hashable]) -> bool:
        """Whether all of `waiting` have had far more than those who were served last."""
        return self._least(waiting) > self.now + SLACK

    def serve(self, waiting: Collection[Hashable]) -> None:
        """The due ones of `waiting` are served now."""
        self.now = max(self.now, self._least(waiting))

    def _least(self, among: Collection[Hashable]) -> float:
        return min(self._had.get(who, self.now) for who in among)
