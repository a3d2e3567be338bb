"""What a search tells whoever watches. The base class says nothing; the command line draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hswarm.session.records import HistoryEntry

if TYPE_CHECKING:
    from hswarm.runs.directory import Run


class Progress:
    """Callbacks of a search, all optional to override."""

    def start(self, run: Run) -> None:
        """The search starts, or goes on after the iterations in `run.history()`."""

    def begin(self, phase: str, calls: int, ahead: int) -> None:
        """`phase` starts and will ask for `calls` calls; `ahead` more follow it at most."""

    def advance(self, calls: int) -> None:
        """`calls` more calls are answered, by the engine or from the cache."""

    def iteration(self, entry: HistoryEntry) -> None:
        """An iteration ended; `entry` is its line of the history."""

    def say(self, text: str) -> None:
        """Something worth a line."""

    def end(self, run: Run) -> None:
        """The run is finished: its report is written."""


class Several(Progress):
    """Tells each of several."""

    def __init__(self, *told: Progress) -> None:
        self._told = told

    def start(self, run: Run) -> None:
        for each in self._told:
            each.start(run)

    def begin(self, phase: str, calls: int, ahead: int) -> None:
        for each in self._told:
            each.begin(phase, calls, ahead)

    def advance(self, calls: int) -> None:
        for each in self._told:
            each.advance(calls)

    def iteration(self, entry: HistoryEntry) -> None:
        for each in self._told:
            each.iteration(entry)

    def say(self, text: str) -> None:
        for each in self._told:
            each.say(text)

    def end(self, run: Run) -> None:
        for each in self._told:
            each.end(run)
