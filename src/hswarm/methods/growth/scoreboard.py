"""What every term has scored, on the first so many questions of one order; and what scoring it further would cost.

When a term has answered a question, all its sub-terms have: their scores there take no call. That holds unless a node's
prompt depends on its place in the graph, or the scorer asks further questions.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hswarm.experts.expert import Expert
from hswarm.methods.growth.terms import Mix, Term, mix_name
from hswarm.scorers.token_f1 import likeness
from hswarm.session.budget import BudgetSpent
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.session.records import Fault, faults
from hswarm.system.system import System

Array = NDArray[np.float64]


class Origin(NamedTuple):
    """How a term came up: the kind of move, the term it was made from, and the round ("12/blend")."""

    kind: str
    parent: Term | None
    step: str


def mean_known(row: Array) -> float:
    """The mean of the scores in `row`, without nan; 0 if there are none."""
    return round(float(np.nanmean(row)), 9) if np.isfinite(row).any() else 0.0


@dataclass
class Scoreboard:
    """Scores terms through `evaluator`, questions in the order of the positions `order`, at most `limit` calls in all.

    `scores` has a row a term, as long as the questions that it was asked (nan: a call failed). `guides` are what the
    search goes by: the scores with the part `partial` of them replaced by how like the answer a reply is, so that a
    reply that is nearly right counts more than one that is not. `free` false scores sub-terms only when they are asked
    for.
    """

    evaluator: Evaluator
    order: Sequence[int]
    limit: int
    free: bool = True
    partial: float = 0.0
    reserve: int = 0  # calls that are kept back
    scores: dict[Term, Array] = field(default_factory=dict)
    guides: dict[Term, Array] = field(default_factory=dict)
    origins: dict[Term, Origin] = field(default_factory=dict)
    spent: bool = False
    _replied: dict[Term, int] = field(default_factory=dict)  # questions that a node's replies are known on
    _whole: dict[Term, None] = field(default_factory=dict)
    _utilities: dict[Term, float] = field(default_factory=dict)
    _experts: dict[Mix, Expert] = field(default_factory=dict)
    _scored: list[Evaluation] = field(default_factory=list)  # since faults were last counted

    @cached_property
    def shared(self) -> bool:
        """Whether a node's reply is the same whatever stands above it, so that systems share it."""
        prompts, dev = self.evaluator.recipe.prompts, self.evaluator.dev
        placed = prompts.by_place or bool(self.evaluator.sampling.choose)
        return self.evaluator.executor.reuse and not placed and not any(len(e.context) > 1 for e in dev)

    @property
    def remaining(self) -> int:
        """Distinct calls that may still be made."""
        left, budget = self.limit - self.evaluator.budget.ledger.generated, self.evaluator.budget.remaining
        return max(0, (left if budget is None else min(left, budget)) - self.reserve)

    @property
    def share(self) -> float:
        """The part of the budget that is spent, from 0 to 1."""
        budget = self.evaluator.budget
        return max(budget.share, min(1.0, budget.ledger.generated / self.limit))

    def mean(self, term: Term) -> float:
        """The mean of what is known of a term; 0 if nothing is."""
        return mean_known(self.scores.get(term, np.empty(0)))

    def utility(self, term: Term) -> float:
        """The task's mean of a term that was asked every question."""
        if term not in self._utilities:
            self._utilities[term] = float(self.evaluator.combine(self._on_dev(term)))
        return self._utilities[term]

    def finished(self) -> list[Term]:
        """The terms that have a score on every question: the best first, of equals the smaller, then the older."""
        return sorted(self._whole, key=lambda term: (-round(self.utility(term), 12), term.size))

    def unknown(self, term: Term) -> int:
        """How many of the term's nodes never replied to anything."""
        return sum(node not in self._replied for node in term.nodes) if self.shared else term.size

    def cost(self, term: Term, upto: int) -> int:
        """New calls that scoring the term on the first `upto` questions takes at most."""
        return self._cost(term, upto, self._replied)

    def extend(self, terms: Sequence[Term], upto: int, step: str) -> list[Term]:
        """Score `terms` on the first `upto` questions; those for which calls are left, in order, are returned.

        `step` names this piece of work, once in a run.
        """
        costs = self._affordable(terms, upto)
        wanted = dict.fromkeys(costs)
        if self.free and self.shared and self.evaluator.calls(1, 1) == 1:
            for term in costs:
                for node in term.nodes:
                    wanted.setdefault(node)
                    self.origins.setdefault(node, Origin("part", term, f"{step.partition('/')[0]}/part"))
        starts: dict[int, list[Term]] = {}
        for term in wanted:
            if (start := len(self.scores.get(term, ()))) < upto:
                starts.setdefault(start, []).append(term)
        for start, group in sorted(starts.items()):
            group.sort(key=lambda term: term not in costs)  # those that cost calls first
            self._score(group, [costs.get(term, 0) for term in group], (start, upto), f"{step}/{start}")
        return [term for term in costs if len(self.scores.get(term, ())) >= upto]

    def _affordable(self, terms: Iterable[Term], upto: int) -> dict[Term, int]:
        """Those of `terms` that can be scored up to there, with the new calls that each takes after those before."""
        costs: dict[Term, int] = {}
        left, replied = self.remaining, ChainMap(dict[Term, int](), self._replied)
        for term in terms:
            cost = self._cost(term, upto, replied)
            if cost <= left:
                left -= cost
                costs[term] = cost
                replied.update({node: max(upto, replied.get(node, 0)) for node in term.nodes})
        return costs

    def _cost(self, term: Term, upto: int, replied: Mapping[Term, int]) -> int:
        """The new calls that a term takes if nodes had `replied` to so many questions."""
        count = upto - len(self.scores.get(term, ()))
        if count <= 0:
            return 0
        known = (replied.get(node, 0) for node in term.nodes)
        nodes = sum(max(0, upto - n) for n in known) if self.shared else term.size * count
        return nodes + (self.evaluator.calls(term.size, 1) - term.size) * count

    def _score(self, terms: Sequence[Term], costs: Sequence[int], span: tuple[int, int], step: str) -> None:
        part = list(self.order[slice(*span)])
        examples = [self.evaluator.dev[i] for i in part]
        try:
            made = self.evaluator.evaluate(self.systems(terms), step, part, most=costs)
        except BudgetSpent as fault:
            made, self.spent = fault.evaluations, True
        self._scored += made[: len(terms)]
        for term, evaluation in zip(terms, made, strict=False):
            like = likeness(examples, evaluation.answers)
            guides = (1 - self.partial) * evaluation.scores + self.partial * like
            before = [rows.get(term, np.empty(0)) for rows in (self.scores, self.guides)]
            self.add(term, *map(np.concatenate, zip(before, (evaluation.scores, guides), strict=True)))

    def faults(self) -> dict[Fault, int]:
        """The replies since the last call that could not be scored as meant."""
        counted = faults(self._scored)
        self._scored.clear()
        return counted

    def add(self, term: Term, scores: Array, guides: Array) -> None:
        """Take over what a term scored on the first questions, and its guides there."""
        self.scores[term], self.guides[term] = scores, guides
        for node in term.nodes:
            self._replied[node] = max(len(scores), self._replied.get(node, 0))
        if len(scores) == len(self.order) and np.isfinite(scores).all():
            self._whole[term] = None

    def systems(self, terms: Sequence[Term]) -> list[System]:
        """The systems that terms stand for."""
        experts = self._blended({node.mix for term in terms for node in term.nodes})
        return [self.evaluator.system(term.topology, [experts[node.mix] for node in term.nodes]) for term in terms]

    def evaluation(self, term: Term) -> Evaluation:
        """What is known of a term, nan where it was not asked."""
        step = self.origins[term].step
        return Evaluation(self.systems([term])[0], self._on_dev(term), step, combine=self.evaluator.combine)

    def _on_dev(self, term: Term) -> Array:
        """Scores in the order of dev, nan where there is none."""
        scores, row = np.full(len(self.order), np.nan), self.scores.get(term, np.empty(0))
        scores[list(self.order[: len(row)])] = row
        return scores

    def _blended(self, mixes: set[Mix]) -> dict[Mix, Expert]:
        pool = self.evaluator.pool
        if new := sorted(mixes - self._experts.keys()):
            shares = np.zeros((len(new), len(pool.experts)))
            for row, mix in zip(shares, new, strict=True):
                for expert, share in mix:
                    row[expert] = share
            made = pool.blends(shares, [mix_name(mix, pool.names) for mix in new])
            self._experts |= dict(zip(new, made, strict=True))
        return self._experts

    def forget(self, kept: Iterable[Term]) -> None:
        """Let go of blended weights that no term of `kept` has: they can be added again."""
        mixes = {node.mix for term in kept for node in term.nodes}
        self._experts = {mix: e for mix, e in self._experts.items() if len(mix) == 1 or mix in mixes}
