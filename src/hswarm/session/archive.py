"""The best systems scored so far, and the choice among them on questions that the search has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hswarm.session.evaluation import Evaluation, identity
from hswarm.system.system import System


class Selection(NamedTuple):
    """The system chosen, and the finalists' utilities: `searched`, and `held_out` (empty if nothing was held out)."""

    system: System
    finalists: list[Evaluation]
    held_out: list[Evaluation]
    chosen: int


@dataclass
class Archive:
    """The `limit` best systems scored on all of the searched dev: `finalists`, the best first."""

    limit: int = 1
    finalists: list[Evaluation] = field(default_factory=list)
    _fallback: Evaluation | None = None  # the best of those that were not to become finalists

    @property
    def best(self) -> Evaluation | None:
        """The best so far."""
        return self.finalists[0] if self.finalists else self._fallback

    def add(self, evaluations: Sequence[Evaluation], rival: bool = True) -> None:
        """Keep the best of them. `rival` false: they are a fallback alone, for as long as there is no finalist."""
        for evaluation in evaluations:
            if np.isnan(evaluation.utility):
                continue
            if not rival:
                if self._fallback is None or evaluation.utility > self._fallback.utility:
                    self._fallback = evaluation
            elif self.find(evaluation.system) is None:
                self.finalists.append(evaluation)
                self.finalists.sort(key=lambda final: -final.utility)  # stable: of equals, the first found is first
                del self.finalists[self.limit :]

    def find(self, system: System) -> Evaluation | None:
        """The finalist that answers as `system` does, if there is one."""
        wanted = identity(system)
        return next((final for final in self.finalists if identity(final.system) == wanted), None)

    def select(self, found: Evaluation, count: int, score: Callable[[Sequence[System]], list[Evaluation]]) -> Selection:
        """The best of `found` and the finalists, `count` in all, by the evaluations that `score` gives of them."""
        others = [final for final in self.finalists if identity(final.system) != identity(found.system)]
        finalists = [found, *others][:count]
        again = score([final.system for final in finalists])
        order = sorted(range(len(again)), key=lambda i: (-np.nan_to_num(again[i].utility), -finalists[i].utility, i))
        return Selection(finalists[order[0]].system, finalists, again, order[0])
