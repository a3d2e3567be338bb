"""Growth: the search that hswarm uses by default.

It begins with the experts alone, a chain, a star, blends of the best alone and all ordered pairs. Then generations:
around the best terms so far, the moves that a model finds promising are raced against the leader. Whatever is scored
tells about all its sub-terms. Few questions decide at first, more as the budget is spent. It ends when the budget is
spent, after `patience` generations without a new leader, or at a perfect score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from hswarm.core.stats import bootstrap_interval
from hswarm.core.streams import seed_of, stream
from hswarm.errors import ConfigError, EngineError
from hswarm.experts.pool import ExpertPool
from hswarm.io import Array
from hswarm.methods.base import method
from hswarm.methods.growth.checkpoint import GrowthState, digest_of, moved, packed, refill, unpacked
from hswarm.methods.growth.lead import Lead
from hswarm.methods.growth.model import Model
from hswarm.methods.growth.moves import Move, Moves
from hswarm.methods.growth.proposals import best_terms, promising
from hswarm.methods.growth.races import question_order, rungs, survivors
from hswarm.methods.growth.scoreboard import Origin, Scoreboard
from hswarm.methods.growth.story import told
from hswarm.methods.growth.terms import Term, pure
from hswarm.options import check_ranges
from hswarm.session.checkpoint import Findings
from hswarm.session.evaluator import Evaluator
from hswarm.session.records import Best, Generation, HistoryEntry
from hswarm.session.session import planned_calls
from hswarm.system.system import System


@method("growth", "Systems grow move by move, raced on few questions first")
@dataclass(frozen=True)
class Growth:
    """How systems grow; each part can be switched off to see what it is worth.

    A generation races `candidates` neighbours of the `elite` best terms (0: as many as fill the engine's batch, 32 at
    least), on `rung` questions first. `blends` gives a node's expert a share of another, of `shares`; without `roles`
    graphs stay as the start made them and blends alone are tried. `patience` is in generations. The experts alone take
    at most `alone` of the calls, the pairs `pairs`. `price` is what a call an answer beyond the first must be worth.
    `misfit` is the variance that the model leaves to what its features do not say; `trust` the number of questions as
    which its expectation counts when the elite is chosen. `partial` is the part of what the search goes by that is how
    like the answer a reply is, beside its score; with `horizon` few questions decide until more of the budget is spent.
    """

    candidates: Annotated[int, Ge(0)] = 0
    elite: Annotated[int, Ge(1)] = 8
    rung: Annotated[int, Ge(1)] = 4
    patience: Annotated[int, Ge(1)] = 40
    roles: bool = True
    blends: bool = True
    shares: tuple[float, ...] = (0.5,)
    racing: bool = True
    model: bool = True
    free: bool = True
    alone: Annotated[float, Ge(0), Le(1)] = 0.15
    pairs: Annotated[float, Ge(0), Le(1)] = 0.3
    price: float = 0.02
    misfit: Annotated[float, Gt(0)] = 0.01
    trust: Annotated[float, Ge(0)] = 8.0
    partial: Annotated[float, Ge(0), Le(1)] = 0.25
    horizon: bool = True

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.roles and not self.blends:
            raise ValueError("roles and blends are both off; growth needs one of them")
        if not all(0 < share < 1 for share in self.shares):
            raise ValueError(f"shares lie between 0 and 1, got {self.shares}")

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        return Search(pool, evaluator, rng, settings=self).go().best


@method("growth_roles", "growth without blends: graphs and who stands where alone")
def growth_roles(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """What roles alone are worth."""
    return Growth(blends=False)(pool, evaluator, rng)


@method("growth_weights", "growth without roles: blends at the nodes of one topology")
def growth_weights(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """What weights alone are worth, on the better of a chain and a star."""
    return Growth(roles=False)(pool, evaluator, rng)


class Search:
    """A growth under way. `go` continues from the checkpoint, if there is one."""

    def __init__(
        self,
        pool: ExpertPool,
        evaluator: Evaluator,
        rng: np.random.Generator,
        settings: Growth | None = None,
    ) -> None:
        if evaluator.recipe.search.keep_calls:
            raise ConfigError(["search.keep_calls: growth builds on all earlier calls; leave it out (0)"])
        self._pool, self._evaluator, self._settings = pool, evaluator, settings or Growth()
        self._checkpointer, self._seed = evaluator.checkpointer, seed_of(rng)
        self._questions = digest_of(evaluator.dev)
        earlier = evaluator.checkpointer.earlier(GrowthState)
        order = earlier[1].order if earlier else question_order(evaluator.dev, stream(self._seed, "questions"))
        self._board = Scoreboard(evaluator, order, self._limit(), self._settings.free, self._settings.partial)
        self._singles = [Term.of(pure(i)) for i in range(len(pool.experts))]
        groups = pool.groups if self._settings.blends else ()
        self._moves = Moves(len(self._singles), evaluator.nodes, groups, self._settings.shares, self._settings.roles)
        self._model = (
            Model(len(self._singles), evaluator.nodes, misfit=self._settings.misfit) if self._settings.model else None
        )
        few = min(4 * self._settings.rung, len(order)) if self._settings.horizon else len(order)
        self._lead = Lead(self._board, few)
        self._round, self._ended = 0, ""
        self._first: Term | None = None
        if earlier:
            self._take_over(*earlier)

    def _take_over(self, tensors: Mapping[str, Array], state: GrowthState) -> None:
        """What an earlier search scored, as far as this pool has its experts. ConfigError: it asked other questions."""
        if state.questions != self._questions:
            raise ConfigError(
                ["search.start: that run searched other dev questions, or is of an earlier version; take its task"]
            )
        places = {expert.digest: i for i, expert in enumerate(self._pool.experts)}
        kept = {old: places[digest] for old, digest in enumerate(state.experts.values()) if digest in places}
        earlier = unpacked(tensors, state.board)
        for term, scores in earlier.scores.items():
            if (same := moved(term, kept)) and same.size <= self._evaluator.nodes:
                self._board.add(same, scores, earlier.guides[term])
                self._board.origins[same] = Origin("earlier run", None, "0/earlier")

    def _limit(self) -> int:
        """Calls that the search may make: the budget's, else as many as the swarm of this recipe would ask for."""
        recipe, dev = self._evaluator.recipe, len(self._evaluator.dev)
        planned = planned_calls(recipe, len(self._pool.experts), dev, 0, self._evaluator.task)["total"]
        return recipe.budget.calls or planned

    @property
    def _patience(self) -> int:
        """Generations without a new leader until more questions decide."""
        return max(1, self._settings.patience // 5)

    @property
    def _least(self) -> int:
        """Calls that a term takes which was not tried yet: one node on all questions."""
        return self._evaluator.calls(1, self._lead.questions)

    @property
    def batch(self) -> int:
        """Terms that a generation tries: as many as fill the engine's batch on the first rung, if the budget is large
        enough for forty such generations; 32 at least."""
        settings = self._settings
        fitting = min(self._evaluator.recipe.engine.usual_batch(), self._board.limit // 40) // settings.rung
        return settings.candidates or max(32, fitting)

    def go(self) -> Findings:
        """Grow to the end."""
        self._checkpointer.resumed(GrowthState, self._restore)
        while not self._ended:
            self._next_round()
        found = self._board.finished()[0] if self._lead.whole else self._lead.last  # of equals the smallest
        singles = tuple(map(self._board.evaluation, self._singles))
        start = self._board.evaluation(self._first or found)
        system = self._board.systems([found])[0]
        if self._model:
            self._model.fit(self._board.guides)
        story = told(self._board, self._model, found, self._pool.names)
        findings = Findings(singles, start, system, self._round, self._stopped(), story)
        self._checkpointer.end(findings)
        return findings

    def _next_round(self) -> None:
        """The experts alone, then the first graphs, then generations; each ends with a line and a checkpoint."""
        t, lead = self._round, self._lead
        if t == 0:
            phase, tried = "experts alone", self._alone()
        elif t == 1:
            phase, tried = "first graphs", self._race(self._first_graphs())
        else:
            phase, tried = "generation", self._generation()
        lead.stalled += t > 1
        self._crown()
        if t == 1:
            self._first = lead.last
        self._end_if_done()
        self._round += 1
        self._keep(phase, tried)

    def _alone(self) -> list[tuple[int, int]]:
        """The experts on as many questions as their part of the budget allows, the best of them on all."""
        each, questions = self._evaluator.calls(1, 1) * len(self._singles), self._lead.horizon
        most = max(int(self._settings.alone * self._board.limit) // each, min(self._settings.rung, questions))
        spare = self._board.remaining - self._evaluator.calls(1, questions)  # the best is asked every question
        upto = max(0, min(questions, most, spare // each)) if most < questions else questions
        self._announce("experts alone", each * upto)
        self._note([Move(term, "expert", term) for term in self._singles])
        asked = self._board.extend(self._singles, upto, "0/alone") if upto else list(self._singles)
        tried = [(upto, len(asked))]
        if asked and upto < questions:
            asked.sort(key=lambda term: -self._board.mean(term))
            tried.append((questions, len(self._board.extend(asked[:1], questions, "0/best"))))
        return tried

    def _first_graphs(self) -> list[Move]:
        """A chain and a star by score, the best alone answering; the best alone, if it answers anything, blended with
        each other expert; then as many ordered pairs as their part allows."""
        rng, board = stream(self._seed, "first graphs"), self._board
        drawn = [self._singles[i] for i in rng.permutation(len(self._singles))]
        row = sorted(drawn, key=board.mean)[-self._evaluator.nodes :]
        chain, best = row[0], row[-1]
        for term in row[1:]:
            chain = Term.of(term.mix, [chain])
        graphs = [Move(chain, "chain", best), Move(Term.of(best.mix, row[:-1]), "star", best)]
        if self._settings.roles and board.mean(best) > 0:  # what answers nothing is no better blended
            graphs += [Move(Term.of(mix), "blend", best) for mix in self._moves.blends(best.mix)]
        if self._settings.roles and self._settings.pairs and self._evaluator.nodes > 1:
            room = int(self._settings.pairs * board.limit / self._settings.rung / self._evaluator.calls(2, 1))
            pairs = [Move(Term.of(v.mix, [u]), "pair", v) for u, v in permutations(drawn, 2)]
            pairs.sort(key=lambda move: -board.mean(move.parent))
            graphs += pairs[:room]
        return [move for move in graphs if move.term not in board.scores]

    def _generation(self) -> list[tuple[int, int]]:
        settings, board, rng = self._settings, self._board, stream(self._seed, "generation", self._round)
        self._lead.look_further(self._elite, self._patience, f"{self._round}/further")
        if not self._lead.whole and board.remaining < settings.rung:
            self._ended = "budget"  # too small for the leader to be asked all of dev
            return []
        elite = self._elite()
        moves = [move for move in self._moves.around(elite) if move.term not in board.scores]
        board.forget([*elite, self._lead.last])
        if not moves:
            self._ended = "exhausted" if self._lead.whole else ""
            self._lead.stalled += self._patience  # look further now
            return []
        chosen = promising(
            moves, self._model, self.batch, rng, lambda term: settings.price * max(0, board.unknown(term) - 1)
        )
        return self._race(chosen)

    def _elite(self) -> list[Term]:
        """The best terms by what is known now."""
        settings, guides = self._settings, self._board.guides
        if self._model:
            self._model.fit(guides)
        if not settings.roles and self._first:
            guides = {term: row for term, row in guides.items() if term.topology == self._first.topology}
        return best_terms(guides, self._model, settings.elite, settings.trust, self._lead.horizon)

    def _announce(self, phase: str, calls: int) -> None:
        """Say that `phase` starts. The calls to come are scaled by how many were asked for a generated one so far."""
        ledger = self._evaluator.budget.ledger
        reuse = ledger.requested / max(1, ledger.generated) if ledger.requested else 1
        self._checkpointer.begin(phase, calls, max(0, round(self._board.remaining * reuse) - calls))

    def _note(self, moves: Sequence[Move]) -> None:
        for move in moves:
            parent = move.parent if move.parent != move.term else None
            self._board.origins.setdefault(move.term, Origin(move.kind, parent, f"{self._round}/{move.kind}"))

    def _race(self, moves: Sequence[Move]) -> list[tuple[int, int]]:
        """Race the terms of `moves` against the leader; returns (questions, terms asked so many) by rung."""
        board, questions, tried = self._board, self._lead.horizon, list[tuple[int, int]]()
        going = [move.term for move in moves]
        self._note(moves)
        first = min(self._settings.rung, questions)
        name = "first graphs" if self._round == 1 else f"generation {self._round - 1}"
        self._announce(name, 2 * sum(term.size for term in going) * first)
        for upto in rungs(first, questions) if self._settings.racing else [questions]:
            going = board.extend(going, upto, f"{self._round}/{upto}")
            if not going:
                break
            tried.append((upto, len(going)))
            leader = board.guides[self._lead.last]
            going = [going[i] for i in survivors([board.guides[term][:upto] for term in going], leader)]
            if not going or board.spent:
                break
        return tried

    def _crown(self) -> None:
        """Look who leads. EngineError if nothing can: every call failed."""
        self._lead.crown()
        finished, archive = self._board.finished(), self._evaluator.archive
        archive.finalists[:] = map(self._board.evaluation, finished[: archive.limit])
        if not self._lead.terms:
            if self._board.spent or self._board.remaining < self._lead.horizon:
                raise self._evaluator.budget.spent()
            raise EngineError(
                f"every expert had failed calls (the last: {self._evaluator.executor.fault}); see the engine, or "
                "take the question that breaks it out of the task, then resume the run"
            )

    def _end_if_done(self) -> None:
        if self._ended:
            return
        if self._lead.whole and self._lead.perfect:
            self._ended = "perfect"
        elif self._board.spent or (self._lead.whole and self._board.remaining < self._least):
            self._ended = "budget"
        elif self._lead.whole and self._lead.stalled >= self._settings.patience:
            self._ended = "patience"

    def _stopped(self) -> dict[str, float]:
        values = {
            "perfect": self._lead.value(self._lead.last),
            "patience": self._lead.stalled,
            "exhausted": len(self._board.scores),
        }
        return {self._ended: values.get(self._ended, self._evaluator.budget.ledger.generated)}

    def _keep(self, phase: str, tried: Sequence[tuple[int, int]]) -> None:
        """Hand over a line of the history and all that `_restore` needs to go on bit for bit."""
        t, lead, ledger, board = self._round - 1, self._lead, self._evaluator.budget.ledger, self._board
        leader, known = lead.last, board.scores[lead.last][: lead.horizon]
        utility = board.utility(leader) if lead.whole else float(known.mean())
        best = Best(utility=utility, step=board.origins[leader].step)
        if self._checkpointer.intervals and not self._evaluator.task.parts:
            best.ci = [*bootstrap_interval(known, stream(self._seed, "interval", t), resamples=2000)]
        entry = HistoryEntry.of(t, best, ledger)
        entry.growth = Generation(
            phase=phase,
            rungs=[[questions, count] for questions, count in tried],
            known=len(board.scores),
            system=leader.text(self._pool.names),
            asked=0 if lead.whole else lead.horizon,
        ).counting(board.faults())
        tensors, packed_board = packed(board, [*lead.terms, *([self._first] if self._first else [])])
        state = GrowthState(
            iteration=self._round,
            stalled=lead.stalled,
            horizon=lead.horizon,
            ended=self._ended,
            leaders=len(lead.terms),
            ledger=asdict(ledger),
            wall_s=self._evaluator.budget.seconds,
            board=packed_board,
            experts={expert.name: expert.digest for expert in self._pool.experts},
            order=list(board.order),
            questions=self._questions,
        )
        self._checkpointer.keep(entry, tensors, state, board.systems([leader])[0])

    def _restore(self, tensors: Mapping[str, Array], state: GrowthState) -> None:
        marked, lead = refill(self._board, tensors, state.board), self._lead
        lead.terms, rest = marked[: state.leaders], marked[state.leaders :]
        lead.horizon, lead.stalled = state.horizon or lead.questions, state.stalled
        self._first = rest[0] if rest else None
        self._round, self._ended = state.iteration, state.ended
        self._evaluator.budget.restore(state.ledger, state.wall_s)
        lead.crown()  # for what it keeps back
