"""What a method may know: the utility of systems on dev, and the budget it may spend on finding out.

The Objective counts calls and tokens, keeps the best systems that it scored, holds back a part of dev to choose among
them, and gives out the test split once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hswarm.config.recipe import Recipe
from hswarm.core.topology import Topology
from hswarm.engines.base import Completion, Request, Sampling
from hswarm.errors import ConfigError, HSwarmError, UserError
from hswarm.experts.adapter import Expert
from hswarm.experts.composite import width
from hswarm.experts.pool import ExpertPool
from hswarm.scorers import score_range, scored_calls, task_scorer
from hswarm.scorers.base import Score
from hswarm.system.executor import Executor, Ledger
from hswarm.system.scoring import score_replies
from hswarm.system.system import System
from hswarm.tasks.task import Example, Task


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A system's scores, one an example (nan: a call failed), and the replies that could not be scored as meant.

    `step` is where it was scored ("start", "3/role" ...); `calls` and `tokens` are what its replies take without
    reuse, prompts included.
    """

    system: System
    scores: NDArray[np.float64]
    step: str = ""
    unparsed: int = 0
    empty: int = 0
    cut: int = 0
    failed: int = 0
    calls: int = 0
    tokens: int = 0
    combine: Callable[[NDArray[np.float64]], float] = np.mean

    @property
    def utility(self) -> float:
        """The mean score, or what the task's parts come to; nan if any call failed, so no fault passes for wrong."""
        return float(self.combine(self.scores))


class Selection(NamedTuple):
    """The system chosen, and the finalists' utilities: `searched`, and `held_out` (none if nothing was held out)."""

    system: System
    finalists: list[Evaluation]
    held_out: list[Evaluation]
    chosen: int


class BudgetSpent(UserError):
    """The next system would exceed the budget. `evaluations` are those that the refused request still got."""

    def __init__(self, evaluations: list[Evaluation], limit: str) -> None:
        self.evaluations = evaluations
        super().__init__(f"the budget ({limit}) is spent; raise it (budget.calls, budget.tokens or budget.seconds)")


@dataclass
class Objective:
    """Scores systems of one task within the recipe's budget.

    A call counts once, however many systems share it. The calls' budget is never exceeded; tokens and seconds are
    looked at before each system, so that the last one may exceed them.
    """

    task: Task
    recipe: Recipe
    pool: ExpertPool
    executor: Executor
    earlier_s: float = 0.0  # spent before the run was interrupted
    finalists: list[Evaluation] = field(default_factory=list)  # the best first
    _fallback: Evaluation | None = None
    _began: float = field(default_factory=time.monotonic)
    _test_seen: bool = False

    @cached_property
    def _parts(self) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
        """dev in two: what is searched, what is held out; drawn by the task's seed, so alike for every method."""
        dev, share = self.task.dev, self.recipe.selection.held_out
        count = round(share * len(dev))
        if share and not 0 < count < len(dev):
            raise ConfigError(
                [
                    f"selection.held_out = {share:g} of {len(dev)} dev questions leaves a part empty; "
                    "take another share or more questions"
                ]
            )
        chosen = set(np.random.default_rng([self.recipe.task.seed, 11]).permutation(len(dev))[:count].tolist())
        return (
            tuple(e for i, e in enumerate(dev) if i not in chosen),
            tuple(e for i, e in enumerate(dev) if i in chosen),
        )

    @property
    def dev(self) -> tuple[Example, ...]:
        """The examples that are searched on."""
        return self._parts[0]

    @property
    def sampling(self) -> Sampling:
        """How replies are drawn, as recipe and task say."""
        settings = self.recipe.sampling
        return Sampling(
            settings.max_new_tokens or self.task.max_new_tokens,
            settings.temperature,
            settings.top_p,
            choose=settings.choose,
        )

    @property
    def combine(self) -> Callable[[NDArray[np.float64]], float]:
        """From the scores on dev to the utility."""
        return partial(self.task.utility, examples=self.dev)

    @property
    def score_range(self) -> tuple[float, float]:
        """The least and the greatest score of an example; ConfigError if the scorer does not say."""
        return score_range(self.task)

    @property
    def ledger(self) -> Ledger:
        return self.executor.ledger

    @property
    def seconds(self) -> float:
        """Time since the search began, without interruptions."""
        return self.earlier_s + time.monotonic() - self._began

    @property
    def nodes(self) -> int:
        """How many experts a system has at most."""
        return self.recipe.search.nodes or len(self.pool.experts)

    @property
    def systems(self) -> int:
        """How many systems the recipe's search scores: the limit of methods that have none of their own."""
        search = self.recipe.search
        return search.iterations * (search.graphs + search.assignments)

    @property
    def best(self) -> Evaluation | None:
        """The best system scored so far on all of the searched dev."""
        return self.finalists[0] if self.finalists else self._fallback

    def calls(self, calls: int, examples: int) -> int:
        """Calls that scoring a system of `calls` calls a reply on so many examples takes at most."""
        return scored_calls(self.task, calls) * examples

    def system(self, topology: Topology, experts: Sequence[Expert], **changes: Any) -> System:
        """A system with the recipe's prompts, base, engine and sampling; `changes` replace fields of it."""
        prompts = self.recipe.prompts.fitted(self.task)
        made = System(
            topology,
            tuple(experts),
            prompts,
            self.pool.base,
            self.recipe.engine.alone(),
            self.sampling,
            early_exit=self.recipe.search.early_exit,
        )
        return replace(made, **changes)

    def alone(self, expert: Expert) -> System:
        """The system of one expert."""
        return self.system(Topology.chain(1), [expert])

    def evaluate(
        self, systems: Sequence[System], step: str, part: Sequence[int] | None = None, *, rival: bool = True
    ) -> list[Evaluation]:
        """Evaluations of `systems` on the searched dev, or on its examples at the places `part`.

        `step` names this piece of work, once in a run. `rival` false keeps the systems out of the finalists, as `part`
        does. BudgetSpent when the budget does not reach for all.
        """
        examples = self.dev if part is None else [self.dev[i] for i in part]
        done: list[Evaluation] = []
        while len(done) < len(systems):
            waiting = systems[len(done) :]
            count = self._affordable([self.calls(system.calls, len(examples)) for system in waiting])
            if not count:
                raise BudgetSpent(done, self.recipe.budget.text())
            made = self._score(waiting[:count], examples, f"{step}+{len(done)}" if done else step)
            if part is None:
                self._remember(made, rival)
            done += made
        return done

    def whole(self, evaluation: Evaluation) -> Evaluation:
        """An evaluation that was put together of parts of dev, taken as one."""
        self._remember([evaluation], True)
        return evaluation

    def skip(self, calls: int) -> None:
        """Count calls that need not be asked for."""
        self.ledger.skipped += calls
        self.executor.progress(calls)

    def ask(self, expert: Expert, prompts: Sequence[str], step: str, sampling: Sampling) -> list[str]:
        """Replies of `expert` to prompts that are no question of the task; counted like any call."""
        if self._affordable([len(prompts)]) < 1:
            raise BudgetSpent([], self.recipe.budget.text())
        return [reply.text for reply in self.executor.answer([Request(expert, p, sampling) for p in prompts], step)]

    def select(self, found: System) -> Selection:
        """The winner among what a method returned and the finalists, by the part of dev that was held out."""
        held_out = self._parts[1]
        if not held_out:
            return Selection(found, self.finalists, [], 0)
        candidates = [final for final in self.finalists if _identity(final.system) != _identity(found)]
        finalists = [self.seen(found), *candidates][: self.recipe.selection.finalists]
        again = self._score([final.system for final in finalists], held_out, "held-out")
        order = sorted(range(len(again)), key=lambda i: (-np.nan_to_num(again[i].utility), -finalists[i].utility, i))
        return Selection(finalists[order[0]].system, finalists, again, order[0])

    def seen(self, system: System) -> Evaluation:
        """The evaluation of a finished search's system on the searched dev, for the report: outside the budget."""
        known = {_identity(final.system): final for final in self.finalists}
        return known.get(_identity(system)) or self._score([system], self.dev, "report")[0]

    def final(self, systems: Sequence[System]) -> list[Evaluation]:
        """Evaluations on test of the systems to be reported. A second call raises HSwarmError."""
        if self._test_seen:
            raise HSwarmError("the test split was already looked at; it is used once, at the end of a run")
        self._test_seen = True
        return self._score(systems, self.task.test, "test")

    def _affordable(self, calls: Sequence[int]) -> int:
        """How many pieces of work, from the first, of at most so many calls each the budget reaches for."""
        budget, ledger, count = self.recipe.budget, self.ledger, len(calls)
        if budget.tokens is not None and ledger.prompt_tokens + ledger.completion_tokens >= budget.tokens:
            return 0
        if budget.seconds is not None and self.seconds >= budget.seconds:
            return 0
        if budget.tokens is not None or budget.seconds is not None:
            count = min(count, 1)
        if budget.calls is not None:
            count = min(count, int((np.cumsum(calls) <= budget.calls - self._reserve() - ledger.generated).sum()))
        return count

    def _reserve(self) -> int:
        """Calls that choosing among the finalists may take."""
        return self.recipe.selection.finalists * self.calls(self.nodes, len(self._parts[1]))

    def _remember(self, evaluations: Sequence[Evaluation], rival: bool) -> None:
        limit = self.recipe.selection.finalists if self._parts[1] else 1
        for evaluation in evaluations:
            if np.isnan(evaluation.utility):
                continue
            if not rival:
                if self._fallback is None or evaluation.utility > self._fallback.utility:
                    self._fallback = evaluation
            elif _identity(evaluation.system) not in {_identity(final.system) for final in self.finalists}:
                self.finalists.append(evaluation)
                self.finalists.sort(key=lambda final: -final.utility)  # stable: of equals, the first found is first
                del self.finalists[limit:]

    def _score(self, systems: Sequence[System], examples: Sequence[Example], step: str) -> list[Evaluation]:
        transcripts = self.executor.run(systems, examples, step)
        scores = score_replies(task_scorer(self.task), self.executor, systems, transcripts, examples, step)
        return [self._evaluation(*row, examples, step) for row in zip(systems, transcripts, scores, strict=True)]

    def _evaluation(
        self,
        system: System,
        nodes: list[list[Completion]],
        scores: Sequence[Score],
        examples: Sequence[Example],
        step: str,
    ) -> Evaluation:
        answers = nodes[system.topology.sink]
        values = np.array([score.value for score in scores])
        return Evaluation(
            system,
            values,
            step,
            unparsed=sum(not score.parsed for score in scores),
            empty=sum(not answer.text for answer in answers),
            cut=sum(answer.finish == "length" for answer in answers),
            failed=int(np.isnan(values).sum()),
            combine=partial(self.task.utility, examples=examples),
            calls=sum(
                width(expert) * sum(reply.finish != "passed" for reply in replies)
                for expert, replies in zip(system.experts, nodes, strict=True)
            ),
            tokens=sum(reply.prompt_tokens + reply.completion_tokens for node in nodes for reply in node),
        )


def _identity(system: System) -> Hashable:
    """Equal for systems that answer alike."""
    return system.topology.edges, tuple(expert.digest for expert in system.experts), system.sampling, system.seeds
