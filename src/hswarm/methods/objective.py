"""What a method may know: the utility of systems on dev, and the budget it may spend on finding out.

The Objective counts calls and tokens, keeps the best systems that it scored, and gives out the test split once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hswarm.config import Recipe
from hswarm.core.topology import Topology
from hswarm.engines.base import Completion, Sampling
from hswarm.errors import HSwarmError, UserError
from hswarm.execution.execute import Executor, Ledger
from hswarm.execution.respond import score_replies
from hswarm.execution.system import System
from hswarm.experts.adapter import Expert
from hswarm.experts.pool import ExpertPool
from hswarm.scorers import score_range, task_scorer
from hswarm.scorers.base import Score
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


class BudgetSpent(UserError):
    """The next system would exceed the budget. `evaluations` are those that the refused request still got."""

    def __init__(self, evaluations: list[Evaluation], limit: str) -> None:
        self.evaluations = evaluations
        super().__init__(f"the budget ({limit}) is spent; raise it (--budget-calls, --budget-tokens, --budget-seconds)")


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
    best: Evaluation | None = None
    _began: float = field(default_factory=time.monotonic)
    _test_seen: bool = False

    @property
    def sampling(self) -> Sampling:
        """How replies are drawn, as recipe and task say."""
        settings = self.recipe.sampling
        return Sampling(settings.max_new_tokens or self.task.max_new_tokens, settings.temperature, settings.top_p)

    @property
    def combine(self) -> Callable[[NDArray[np.float64]], float]:
        """From the scores on dev to the utility."""
        return partial(self.task.utility, examples=self.task.dev)

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

    def system(self, topology: Topology, experts: Sequence[Expert], **changes: Any) -> System:
        """A system with the recipe's prompts, base, engine and sampling; `changes` replace fields of it."""
        prompts = self.recipe.prompts.fitted(self.task)
        made = System(topology, tuple(experts), prompts, self.pool.base, self.recipe.engine, self.sampling)
        return replace(made, **changes)

    def alone(self, expert: Expert) -> System:
        """The system of one expert."""
        return self.system(Topology.chain(1), [expert])

    def evaluate(self, systems: Sequence[System], step: str, part: Sequence[int] | None = None) -> list[Evaluation]:
        """Evaluations of `systems` on dev, or on the examples of dev at the places `part`.

        `step` names this piece of work, once in a run. BudgetSpent when the budget does not reach for all.
        """
        examples = self.task.dev if part is None else [self.task.dev[i] for i in part]
        done: list[Evaluation] = []
        while len(done) < len(systems):
            waiting = systems[len(done) :]
            count = self._affordable(waiting, len(examples))
            if not count:
                raise BudgetSpent(done, self.recipe.budget.text())
            made = self._score(waiting[:count], examples, f"{step}+{len(done)}" if done else step)
            if part is None:
                self._keep(made)
            done += made
        return done

    def whole(self, evaluation: Evaluation) -> Evaluation:
        """An evaluation that was put together of parts of dev, taken as one."""
        self._keep([evaluation])
        return evaluation

    def skip(self, calls: int) -> None:
        """Count calls that need not be asked for."""
        self.ledger.skipped += calls
        self.executor.progress(calls)

    def final(self, systems: Sequence[System]) -> list[Evaluation]:
        """Evaluations on test of the systems to be reported. A second call raises HSwarmError."""
        if self._test_seen:
            raise HSwarmError("the test split was already looked at; it is used once, at the end of a run")
        self._test_seen = True
        return self._score(systems, self.task.test, "test")

    def _affordable(self, systems: Sequence[System], examples: int) -> int:
        """How many of `systems`, from the first, the budget reaches for."""
        budget, ledger = self.recipe.budget, self.ledger
        count = len(systems)
        if budget.tokens is not None or budget.seconds is not None:
            spent = ledger.prompt_tokens + ledger.completion_tokens
            within = (budget.tokens is None or spent < budget.tokens) and (
                budget.seconds is None or self.seconds < budget.seconds
            )
            count = int(within)
        if budget.calls is not None:
            left, count_max, count = budget.calls - ledger.generated, count, 0
            for system in systems[:count_max]:
                left -= len(system.experts) * examples
                if left < 0:
                    break
                count += 1
        return count

    def _keep(self, evaluations: Sequence[Evaluation]) -> None:
        for evaluation in evaluations:
            if not np.isnan(evaluation.utility) and (self.best is None or evaluation.utility > self.best.utility):
                self.best = evaluation

    def _score(self, systems: Sequence[System], examples: Sequence[Example], step: str) -> list[Evaluation]:
        transcripts = self.executor.run(systems, examples, step)
        scores = score_replies(task_scorer(self.task), self.executor, systems, transcripts, examples, step)
        return [self._evaluation(*row, examples, step) for row in zip(systems, transcripts, scores, strict=True)]

    def _evaluation(
        self, system: System, nodes: list[list[Completion]], scores: Sequence[Score], examples: Sequence[Example],
        step: str,
    ) -> Evaluation:  # fmt: skip
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
            calls=len(nodes) * len(examples),
            tokens=sum(reply.prompt_tokens + reply.completion_tokens for node in nodes for reply in node),
        )
