"""What a search may spend: distinct calls, tokens, seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hswarm.errors import UserError
from hswarm.session.evaluation import Evaluation
from hswarm.session.settings import BudgetSettings
from hswarm.system.executor import Ledger


class BudgetSpent(UserError):
    """The next system would exceed the budget. `evaluations` are those that the refused request still got."""

    def __init__(self, evaluations: list[Evaluation], limit: str) -> None:
        self.evaluations = evaluations
        super().__init__(f"the budget ({limit}) is spent; raise it (budget.calls, budget.tokens or budget.seconds)")


@dataclass
class Budget:
    """The limits of one search and what `ledger` says is spent of them.

    A call counts once, however many systems share it. The limit on calls is never exceeded; tokens and seconds are
    checked before each system, so the last one may exceed them. `reserved` calls are kept back for the choice among
    the finalists; `earlier_s` seconds were spent before an interruption.
    """

    settings: BudgetSettings
    ledger: Ledger
    reserved: int = 0
    earlier_s: float = 0.0
    _began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Time since the search began, interruptions left out."""
        return self.earlier_s + time.monotonic() - self._began

    @property
    def tokens(self) -> int:
        """Tokens spent, prompts included."""
        return self.ledger.prompt_tokens + self.ledger.completion_tokens

    @property
    def remaining(self) -> int | None:
        """Distinct calls that may still be made; None without a limit on calls."""
        settings = self.settings
        return None if settings.calls is None else settings.calls - self.reserved - self.ledger.generated

    @property
    def share(self) -> float:
        """The part that is spent of the limit that is nearest, from 0 to 1; 0 without limits."""
        settings = self.settings
        limits = (
            (self.ledger.generated, None if settings.calls is None else settings.calls - self.reserved),
            (self.tokens, settings.tokens),
            (self.seconds, settings.seconds),
        )
        return max((min(1.0, spent / limit) for spent, limit in limits if limit), default=0.0)

    def restore(self, ledger: Mapping[str, int], seconds: float) -> None:
        """Take over what an interrupted search had spent."""
        for name, count in ledger.items():
            setattr(self.ledger, name, count)
        self.earlier_s += seconds

    def affordable(self, calls: Sequence[int]) -> int:
        """How many pieces of work, from the first, of at most so many calls each can be paid for."""
        settings, count = self.settings, len(calls)
        if settings.tokens is not None and self.tokens >= settings.tokens:
            return 0
        if settings.seconds is not None and self.seconds >= settings.seconds:
            return 0
        if settings.tokens is not None or settings.seconds is not None:
            count = min(count, 1)
        if self.remaining is not None:
            count = min(count, int((np.cumsum(calls) <= self.remaining).sum()))
        return count

    def spent(self, evaluations: list[Evaluation] | None = None) -> BudgetSpent:
        """The error to raise, with what a refused request still got."""
        return BudgetSpent(evaluations or [], self.settings.text())
