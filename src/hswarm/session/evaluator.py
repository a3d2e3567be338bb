"""What a method may know: scores of systems on dev, within a budget.

The Evaluator builds and scores systems of one task. What may be spent is its `budget` (budget.py), the best systems
are in its `archive` (archive.py). It holds back a part of dev to choose among them, and gives out the test split once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hswarm.config.recipe import Recipe
from hswarm.core.topology import Topology
from hswarm.engines.base import Completion, Request, Sampling
from hswarm.errors import ConfigError, HSwarmError
from hswarm.experts.expert import Expert, Node
from hswarm.experts.pool import ExpertPool
from hswarm.scorers import scored_calls, task_scorer
from hswarm.scorers.base import Score, Scorer
from hswarm.session.archive import Archive, Selection
from hswarm.session.budget import Budget
from hswarm.session.checkpoint import Checkpointer
from hswarm.session.evaluation import Evaluation
from hswarm.system.early_judge import judged_early
from hswarm.system.executor import Executor
from hswarm.system.scoring import executor_for, score_replies
from hswarm.system.system import System
from hswarm.tasks.task import Example, Task


@dataclass
class Evaluator:
    """Scores systems of one task within the recipe's budget, and tells `checkpointer` of each `evaluate`."""

    task: Task
    recipe: Recipe
    pool: ExpertPool
    executor: Executor
    checkpointer: Checkpointer = field(default_factory=Checkpointer)
    budget: Budget = field(init=False)
    archive: Archive = field(init=False)
    _test_seen: bool = False

    def __post_init__(self) -> None:
        selection, held_out = self.recipe.selection, len(self._split[1])
        reserved = selection.finalists * self.calls(self.nodes, held_out)
        self.budget = Budget(self.recipe.budget, self.executor.ledger, reserved)
        self.archive = Archive(selection.finalists if held_out else 1)

    @cached_property
    def _split(self) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
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

    @cached_property
    def _scorer(self) -> Scorer:
        return task_scorer(self.task)

    @property
    def dev(self) -> tuple[Example, ...]:
        """The questions that are searched on."""
        return self._split[0]

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
    def nodes(self) -> int:
        """How many experts a system has at most."""
        return self.recipe.search.nodes or len(self.pool.experts)

    @property
    def systems(self) -> int:
        """How many systems the recipe's search scores: the limit of methods that have none of their own."""
        search = self.recipe.search
        return search.iterations * (search.graphs + search.assignments)

    def calls(self, calls: int, examples: int) -> int:
        """Calls that scoring a system of `calls` calls a reply on so many examples takes at most."""
        return scored_calls(self.task, calls) * examples

    def system(self, topology: Topology, nodes: Sequence[Node], **changes: Any) -> System:
        """A system with the recipe's prompts, base, engine and sampling; `changes` replace fields of it."""
        prompts = self.recipe.prompts.fitted(self.task)
        made = System(
            topology,
            tuple(nodes),
            prompts,
            self.pool.base,
            self.recipe.engine.alone(),
            self.sampling,
        )
        return replace(made, **changes)

    def alone(self, node: Node) -> System:
        """The system of one expert or fusion."""
        return self.system(Topology.chain(1), [node])

    def evaluate(
        self,
        systems: Sequence[System],
        step: str,
        part: Sequence[int] | None = None,
        *,
        rival: bool = True,
        most: Sequence[int] | None = None,
    ) -> list[Evaluation]:
        """Evaluations of `systems` on the searched dev, or on its questions at the positions `part`.

        `step` names this piece of work, once in a run. `rival` false keeps the systems out of the finalists, as `part`
        does. BudgetSpent when the budget does not cover all of them; `most` says how many new calls each can take, if
        the caller knows that some were made already.
        """
        examples = self.dev if part is None else [self.dev[i] for i in part]
        most = most or [self.calls(system.calls, len(examples)) for system in systems]
        done: list[Evaluation] = []
        self.checkpointer.scoring(step, sum(self.calls(system.calls, len(examples)) for system in systems))
        while len(done) < len(systems):
            waiting = systems[len(done) :]
            count = self.budget.affordable(most[len(done) :])
            if not count:
                break
            made = self._score(waiting[:count], examples, f"{step}+{len(done)}" if done else step)
            if part is None:
                self.archive.add(made, rival)
            done += made
        self.checkpointer.scored(done, part is None)
        if len(done) < len(systems):
            raise self.budget.spent(done)
        return done

    def skip(self, calls: int) -> None:
        """Count calls that need not be asked for."""
        self.budget.ledger.skipped += calls
        self.executor.progress(calls)

    def ask(self, expert: Expert, prompts: Sequence[str], step: str, sampling: Sampling) -> list[str]:
        """Replies of `expert` to prompts that are no question of the task; counted like any call."""
        if self.budget.affordable([len(prompts)]) < 1:
            raise self.budget.spent()
        executor = executor_for(self.executor, expert, self.pool.bases, self.recipe.engine.alone())
        return [reply.text for reply in executor.answer([Request(expert, p, sampling) for p in prompts], step)]

    def select(self, found: System) -> Selection:
        """The winner among what a method returned and the finalists, by the part of dev that was held out."""
        held_out = self._split[1]
        if not held_out:
            return Selection(found, self.archive.finalists, [], 0)
        count = self.recipe.selection.finalists
        return self.archive.select(self.seen(found), count, lambda systems: self._score(systems, held_out, "held-out"))

    def seen(self, system: System) -> Evaluation:
        """The evaluation of a finished search's system on the searched dev, for the report: outside the budget."""
        return self.archive.find(system) or self._score([system], self.dev, "report")[0]

    def singles(self) -> list[Evaluation]:
        """Every expert alone on the searched dev, for the report: outside the budget."""
        return self._score([self.alone(expert) for expert in self.pool.experts], self.dev, "report alone")

    def final(self, systems: Sequence[System]) -> list[Evaluation]:
        """Evaluations on test of the systems to be reported. A second call raises HSwarmError."""
        if self._test_seen:
            raise HSwarmError("the test split was already looked at; it is used once, at the end of a run")
        self._test_seen = True
        return self._score(systems, self.task.test, "test")

    def _score(self, systems: Sequence[System], examples: Sequence[Example], step: str) -> list[Evaluation]:
        with judged_early(self.task, self.executor, systems, step) as answered:
            transcripts = self.executor.run(systems, examples, step, answered)
        scores = score_replies(self._scorer, self.executor, systems, transcripts, examples, step)
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
                node.calls * sum(reply.finish != "skipped" for reply in replies)
                for node, replies in zip(system.nodes, nodes, strict=True)
            ),
            tokens=sum(reply.prompt_tokens + reply.completion_tokens for node in nodes for reply in node),
            answers=[answer.text for answer in answers],
        )
