"""A finished run, opened to be analysed: its system, pool, task and engine, and the cache of the calls it made.

What an analysis asks goes through that cache: calls that the search or an earlier analysis made are not made again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hswarm.analysis.replay import Replay, replay
from hswarm.engines.base import Completion
from hswarm.errors import RunError, TaskError
from hswarm.experts.expert import Expert
from hswarm.experts.remote import RemoteSettings
from hswarm.registry import Part, Room
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress
from hswarm.scorers import task_scorer
from hswarm.session.evaluator import Evaluator
from hswarm.session.session import Session
from hswarm.session.settings import BudgetSettings
from hswarm.system.executor import Executor
from hswarm.system.scoring import ScoringContext, score_replies
from hswarm.system.system import System
from hswarm.tasks.task import Example, Task


@dataclass(frozen=True)
class AnalysisPart(Part):
    """What `@analysis` declares in addition: with "all", it is left out unless the option that it `needs` is given."""

    needs: Literal["", "to", "judge"] = ""


Array = NDArray[np.float64]
Split = Literal["dev", "test"]
analysis = Room("analyses", "hswarm.analysis", "analysis", AnalysisPart)


class Target(NamedTuple):
    """Another task to apply findings to, and the system that a run found on it, if there is one."""

    name: str
    task: Task
    system: System | None = None


@dataclass(frozen=True)
class Options:
    """What a user may say: `split` None takes each analysis' own; at most `questions` of it are looked at.

    An analysis makes at most `calls` calls, `judge` labels nodes, `to` are tasks to apply findings to. `own` are
    the options that an analysis defines itself, by its name.
    """

    split: Split | None = None
    questions: int = 200
    calls: int = 10_000
    judge: RemoteSettings | None = None
    to: tuple[Target, ...] = ()
    own: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass
class AnalysisContext:
    """An open run and what it takes to ask about it. `begin` an analysis, then `spent` says what it cost."""

    run: Run
    options: Options
    session: Session
    system: System
    progress: Progress = field(default_factory=Progress)
    _step: str = ""

    def __post_init__(self) -> None:
        self.begin("")

    @classmethod
    @contextmanager
    def open(cls, run: Run, options: Options, progress: Progress | None = None) -> Iterator[AnalysisContext]:
        """RunError unless the run is finished. The search's budget is spent, so there is none here."""
        if not run.finished:
            raise RunError(f"{run.path} is unfinished; continue it with: hswarm resume {run.path}")
        system, told = run.best, progress or Progress()
        search = replace(run.recipe.search, reuse=True)
        free = run.recipe.model_copy(update={"budget": BudgetSettings(), "search": search})
        with Session.open(free) as opened, opened.keeping(run.path / "cache.sqlite", told.advance) as session:
            yield cls(run, options, session, system, told)

    def begin(self, name: str) -> None:
        """Count from zero. No step is called twice, so that a call counts as made only where it is made."""
        self._step = f"{name}/{uuid.uuid4().hex}"
        self.session = replace(self.session)

    @property
    def executor(self) -> Executor:
        return self.session.executor

    @property
    def made(self) -> int:
        """Calls made since `begin`."""
        return self.executor.ledger.generated

    def spent(self) -> dict[str, int]:
        """What an AnalysisResult says of its calls."""
        return {"asked": self.executor.ledger.requested, "made": self.made, "most": self.options.calls}

    @property
    def task(self) -> Task:
        return self.session.task

    @cached_property
    def evaluator(self) -> Evaluator:
        """The search's view of the task, without its budget, which is spent."""
        return replace(self.session).evaluator

    @cached_property
    def replay(self) -> Replay:
        """What the search scored on its way, from its cache."""
        report = self.run.report
        self.progress.begin("following the search", report.calls.requested, 0)
        return replay(self.run.recipe, self.session, self.run.history(), report.found_at)

    def split(self, usual: Split) -> Split:
        """The split that the user named, else `usual`, else dev where there is no test."""
        return self.options.split or (usual if usual == "dev" or self.task.test else "dev")

    def examples(self, split: Split, calls: int = 0) -> tuple[Example, ...]:
        """The questions of a split (dev: those that were searched), as many as allowed if each takes `calls` calls.

        A part is drawn by the task's seed, so that it is the same part for every analysis.
        """
        every = self.evaluator.dev if split == "dev" else self.task.test
        if not every:
            raise TaskError(f"task '{self.task.name}' has no {split} questions; name the other split (--split)")
        return self.part(every, calls)

    def part(self, every: Sequence[Example], calls: int = 0) -> tuple[Example, ...]:
        """As many of `every` as the options allow if each takes `calls` calls."""
        count = min(len(every), self.options.questions, max(1, self.options.calls // calls) if calls else len(every))
        drawn = np.random.default_rng([self.run.recipe.task.seed, 29]).permutation(len(every))[:count]
        return tuple(every[i] for i in sorted(drawn.tolist()))

    def respond(
        self, systems: Sequence[System], examples: Sequence[Example], what: str
    ) -> list[list[list[Completion]]]:
        """Replies as [system][node][example]."""
        self.progress.begin(what, sum(system.topology.size for system in systems) * len(examples), 0)
        return self.executor.run(systems, examples, f"{self._step}/{what}")

    def scores(
        self, systems: Sequence[System], examples: Sequence[Example], what: str, task: Task | None = None
    ) -> Array:
        """Scores as `task` (the run's own) has them, shape (systems, examples); nan where a call failed."""
        transcripts = self.respond(systems, examples, what)
        scored = score_replies(
            task_scorer(task or self.task), self.executor, systems, transcripts, examples, f"{self._step}/{what}/scores"
        )
        return np.array([[score.value for score in row] for row in scored], dtype=np.float64)

    def rate(self, examples: Sequence[Example], replies: Sequence[str], what: str) -> Array:
        """Scores of replies, shape (examples,), as if each were the answer."""
        asking = ScoringContext(self.executor, [self.system], len(examples), f"{self._step}/{what}/scores")
        return np.array([score.value for score in task_scorer(self.task)(examples, replies, asking)])

    def ask(self, expert: Expert, prompts: Sequence[str], what: str, max_new_tokens: int = 100) -> list[str | None]:
        """What `expert`, a judge behind an API or of the system's base, replies to free prompts; None: failed."""
        self.progress.begin(what, len(prompts), 0)
        return ScoringContext(self.executor, [self.system], 1, f"{self._step}/{what}").ask(
            expert, prompts, max_new_tokens
        )


def whole(scores: Array) -> NDArray[np.bool_]:
    """Which columns of `scores`, shape (systems, examples), no failed call touches. RunError if none is left."""
    kept = np.isfinite(scores).all(axis=0)
    if not kept.any():
        raise RunError("every question had failed calls; see the engine, then analyse again")
    return np.asarray(kept)
