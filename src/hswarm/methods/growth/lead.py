"""Who leads, and how many questions decide that: few at first, more as the budget is spent, all of dev in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hswarm.methods.growth.races import widened
from hswarm.methods.growth.scoreboard import Scoreboard
from hswarm.methods.growth.terms import Term

FURTHER = 4  # of the best terms go along when more questions are to decide


@dataclass
class Lead:
    """The leader, and the `horizon`: the number of questions that races go up to.

    `terms` has each leader there was, the present one last; `stalled` counts the generations since it or the horizon
    changed. Calls that take the leader to the end of dev are kept back (`Scoreboard.reserve`).
    """

    board: Scoreboard
    horizon: int
    terms: list[Term] = field(default_factory=list)
    stalled: int = 0

    @property
    def last(self) -> Term:
        """The present leader."""
        return self.terms[-1]

    @property
    def questions(self) -> int:
        """All that dev has."""
        return len(self.board.order)

    @property
    def whole(self) -> bool:
        """Whether all of dev decides."""
        return self.horizon == self.questions

    @property
    def perfect(self) -> bool:
        """Whether the leader answered all questions up to the horizon, by a scorer that gives no more than 1."""
        scores = self.board.scores[self.last][: self.horizon]
        return bool(np.all(scores == 1) and max(np.nanmax(row) for row in self.board.scores.values()) <= 1)

    def value(self, term: Term) -> float:
        """What a term is ranked by: the task's mean over dev, or its mean guide up to the horizon."""
        if self.whole:
            return round(self.board.utility(term), 12)
        return round(float(self.board.guides[term][: self.horizon].mean()), 12)

    def crown(self) -> None:
        """Make the best term that was asked up to the horizon the leader, if it is better than the last one."""
        ranked = self.board.finished() if self.whole else self._foremost()
        if ranked and (not self.terms or self.value(ranked[0]) > self.value(self.last)):
            self.terms.append(ranked[0])
            self.stalled = 0
        if self.terms:
            self.board.reserve = 0 if self.whole else self.board.cost(self.last, self.questions)

    def _foremost(self) -> list[Term]:
        """The terms that have a score on every question up to the horizon, the best first, of equals the smaller."""
        rows = self.board.scores.items()
        known = [t for t, row in rows if len(row) >= self.horizon and np.isfinite(row[: self.horizon]).all()]
        return sorted(known, key=lambda term: (-self.value(term), term.size))

    def look_further(self, best: Callable[[], Sequence[Term]], patience: int, step: str) -> None:
        """Let more questions decide, if enough of the budget is spent or too few are left to tell systems apart.

        They are doubled after `patience` generations without a new leader or when the leader is perfect on them, and
        all decide when little more is left than the leader takes to the end. The first of `best()` go along.
        """
        if self.whole:
            return
        far = widened(self.horizon, self.questions, self.board.share)
        if self.stalled >= patience or self.perfect:
            far = max(far, min(2 * self.horizon, self.questions))
        if self.board.remaining < self.board.reserve:
            far = self.questions
        if far == self.horizon:
            return
        along = [term for term in best() if len(self.board.scores[term]) >= self.horizon and term != self.last]
        self.board.reserve = 0
        self.board.extend([self.last, *along[:FURTHER]], far, step)
        if len(self.board.scores[self.last]) >= far:
            self.horizon, self.stalled = far, 0
        self.crown()
