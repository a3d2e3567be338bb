"""A search followed again from its cache: every system that it scored, question by question, without a single call.

The same seed gives the same search, so a run need not keep what can be computed again. What is scored on the way is
checked against the run's history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hswarm.config.recipe import Recipe
from hswarm.core.topology import Topology
from hswarm.engines.base import Completion, Engine, Likelihoods, Request
from hswarm.errors import RunError
from hswarm.experts.expert import Expert
from hswarm.io import Array
from hswarm.methods import get_method
from hswarm.session.checkpoint import Checkpointer
from hswarm.session.evaluation import Evaluation
from hswarm.session.records import HistoryEntry, State
from hswarm.session.session import Session
from hswarm.system.system import System


@dataclass(frozen=True, eq=False)
class Scored:
    """A system as the search scored it at `step` ("start", "3/role", "3/weight"): scores (questions,) on searched dev,
    nan where a question was not asked; `assignment` are the experts' names."""

    step: str
    topology: Topology
    assignment: tuple[str, ...]
    scores: NDArray[np.float64]
    utility: float

    @property
    def iteration(self) -> int:
        """-1 for the experts alone."""
        return int(self.step.split("/")[0]) if "/" in self.step else -1

    @property
    def kind(self) -> str:
        """role, weight or start."""
        return self.step.rsplit("/", 1)[-1].partition("+")[0]  # "+": what a budget let through one by one


@dataclass(frozen=True, eq=False)
class Replay:
    """All that a search scored, in order; the experts by name as they stood when the found system was scored; the best
    system so far after each iteration (`leaders`)."""

    scored: tuple[Scored, ...]
    experts: Mapping[str, Expert]
    iterations: int
    leaders: tuple[System, ...] = ()


class _End(Exception):
    """The history ends here."""


class _Follower(Checkpointer):
    """Keeps every evaluation on all of dev, and the experts of iteration `wanted`; compares with the run's history."""

    def __init__(self, wanted: int, history: Sequence[HistoryEntry]) -> None:
        self._wanted, self._history = wanted, history
        self.scored_so_far: list[Scored] = []
        self.experts: dict[str, Expert] = {}
        self.followed = 0
        self.leaders: list[System] = []

    def scored(self, evaluations: Sequence[Evaluation], whole: bool) -> None:
        for found in evaluations if whole else ():
            topology, names = found.system.topology, tuple(found.system.assignment)
            made = Scored(found.step, topology, names, found.scores, found.utility)
            self.scored_so_far.append(made)
            if made.iteration == self._wanted:
                self.experts |= {expert.name: expert for expert in found.system.experts}

    def keep(self, entry: HistoryEntry, tensors: Mapping[str, Array], state: State, best: System) -> None:
        was, now = self._history[self.followed], entry
        if (now.role.utilities, now.weight.utilities) != (was.role.utilities, was.weight.utilities):
            raise RunError(
                f"the search cannot be followed again: iteration {self.followed} scores otherwise than in its "
                "history; put back the pool, the task and the version it was made with"
            )
        self.followed += 1
        self.leaders.append(best)
        if self.followed == len(self._history):
            raise _End


class _Silent:
    """An engine of which only the fingerprint is used."""

    def __init__(self, engine: Engine) -> None:
        self.fingerprint = engine.fingerprint
        self.check, self.batches = engine.check, engine.batches

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        raise _not_kept()

    def loglikelihood(self, requests: Sequence[Request]) -> list[Likelihoods]:
        raise _not_kept()


def _not_kept() -> RunError:
    return RunError(
        "the search cannot be followed again: its cache lacks calls (deleted, failed or "
        "made by other versions); take analyses that do not follow it: --only gain,roles"
    )


def replay(recipe: Recipe, session: Session, history: Sequence[HistoryEntry], found_at: str) -> Replay:
    """Follow the search of `recipe` again, with pool, task and cache of `session`.

    RunError if it leads elsewhere, or asks what the cache does not hold.
    """
    if not any(line.role.utilities or line.weight.utilities for line in history):
        raise RunError(
            f"method '{recipe.search.method}' has no swarms to follow; take other analyses: --only gain,roles"
        )
    recipe = recipe.model_copy(update={"budget": replace(recipe.budget, seconds=None)})
    wanted = int(found_at.split("/")[0]) if "/" in found_at else 0
    follower = _Follower(wanted, history)
    watched = replace(session, recipe=recipe, engine=_Silent(session.engine)).evaluator
    watched.checkpointer = follower
    method = get_method(recipe.search.method, recipe.methods.get(recipe.search.method))
    try:
        method(session.pool, watched, np.random.default_rng(recipe.seed))
    except _End:
        pass
    except RunError:  # what a budget of seconds cut off was never asked
        if follower.followed < len(history) - 1 or not follower.followed:
            raise
    whole = [scored for scored in follower.scored_so_far if scored.iteration < follower.followed]
    return Replay(tuple(whole), follower.experts, follower.followed, tuple(follower.leaders))
