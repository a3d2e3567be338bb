"""What a search tells while it works, and where it goes on after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from hswarm.errors import RunError
from hswarm.io import Array
from hswarm.session.evaluation import Evaluation
from hswarm.session.records import Growth, HistoryEntry, State
from hswarm.system.system import System

S = TypeVar("S", bound=State)


@dataclass(frozen=True, eq=False)
class Findings:
    """What a search found: the experts alone, the system it started from, the best of all; and why it ended."""

    singles: tuple[Evaluation, ...]
    start: Evaluation
    best: System
    iterations: int
    stopped: Mapping[str, float]
    growth: Growth | None = None  # what growth adds to the report

    @property
    def best_single(self) -> Evaluation:
        """The expert with the best score alone."""
        return max(self.singles, key=lambda single: -np.inf if np.isnan(single.utility) else single.utility)


class Checkpointer:
    """Told what a search does. The base class ignores it and keeps nothing.

    The evaluator calls `scoring` and `scored` for every method. A method with checkpoints of its own asks for the last
    one with `kept`, hands over each with `keep`, and calls `begin` and `end`; any other is run again from its start.
    """

    intervals = False  # whether lines of the history are to have them: they take 4 % of a toy search

    def begin(self, phase: str, calls: int, ahead: int | None = None) -> None:
        """`phase` starts and will ask for `calls` calls, and the search for `ahead` more at most, if it knows."""

    def scoring(self, step: str, calls: int) -> None:
        """Systems are about to be scored, with at most `calls` calls."""

    def scored(self, evaluations: Sequence[Evaluation], whole: bool) -> None:
        """Systems have been scored, on the `whole` of the searched dev or on a part of it."""

    def keep(self, entry: HistoryEntry, tensors: Mapping[str, Array], state: State, best: System) -> None:
        """An iteration ended: its line of the history, all that is needed to go on, the best system so far."""

    def kept(self, form: type[S]) -> tuple[dict[str, Array], S] | None:
        """`tensors` and `state` of the last iteration kept, the latter as a `form`; None at a fresh start."""
        return None

    def earlier(self, form: type[S]) -> tuple[dict[str, Array], S] | None:
        """`tensors` and `state` of the run that the recipe starts from, if it names one; its own, once it has some."""
        return None

    def resumed(self, form: type[S], restore: Callable[[Mapping[str, Array], S], None]) -> bool:
        """Let `restore` take over what was kept, if anything was. RunError if it does not fit."""
        if (saved := self.kept(form)) is None:
            return False
        try:
            restore(*saved)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as fault:
            raise RunError(
                f"the checkpoint does not fit this run ({fault!r}); restore the run's folder from a copy"
            ) from fault
        return True

    def end(self, findings: Findings) -> None:
        """The search is over."""
