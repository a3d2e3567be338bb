"""Heterogeneous Swarms (arXiv 2502.04510, Algorithm 3): role-step and weight-step in turn, until neither helps.

An iteration moves both swarms, decodes each adjacency once, scores the N topologies with expert i at node i
(role-step), then M random assignments of the experts on the best topology (weight-step, JFK-score). The best system
ever scored is kept whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np
from pydantic import JsonValue, model_validator

from hswarm import io
from hswarm.core.decode import above, edges_gone, encoded, thinned
from hswarm.core.jfk import draw_assignments, jfk_score
from hswarm.core.stats import bootstrap_interval
from hswarm.core.streams import seed_of, stream
from hswarm.core.swarm import Array, Swarm
from hswarm.core.topology import Topology
from hswarm.errors import EngineError
from hswarm.experts.expert import Expert
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import method
from hswarm.records import Record
from hswarm.session.budget import BudgetSpent
from hswarm.session.checkpoint import Findings
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.session.records import Best, HistoryEntry, State, Step, faults
from hswarm.session.settings import SearchSettings
from hswarm.system.executor import Ledger
from hswarm.system.record import Graph
from hswarm.system.system import System


@method("role_only", "hswarm without the weight-step", paper="arXiv 2502.04510")
def role_only(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """The ablation without the weight-step."""
    return _ablated(pool, evaluator, rng, "role")


@method("weight_only", "hswarm without the role-step", paper="arXiv 2502.04510")
def weight_only(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """The ablation without the role-step: weights on the best of the first graphs."""
    return _ablated(pool, evaluator, rng, "weight")


def _ablated(
    pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator, step: Literal["role", "weight"]
) -> System:
    settings = replace(evaluator.recipe.search, steps=(step,), weight_topology="best")
    return Search(pool, evaluator, rng, settings=settings).go().best


@method("hswarm", "Particle swarms over graphs and over weights, in turn", paper="arXiv 2502.04510")
def hswarm(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """The method of the paper, with the settings of the recipe."""
    return Search(pool, evaluator, rng).go().best


class _Packed(Record):
    """An evaluation in a checkpoint, less its arrays."""

    step: str
    topology: Graph
    experts: list[str]


class SwarmsState(State):
    """Where the swarms stand, less their arrays: what `_restore` needs to go on bit for bit."""

    stalled: int
    spent: bool
    members: list[int]
    ledger: dict[str, int]
    now: Graph
    swarms: dict[str, dict[str, JsonValue]]
    first: _Packed
    finalists: list[_Packed]

    @model_validator(mode="before")
    @classmethod
    def _from_keys(cls, content: object) -> object:
        """Earlier checkpoints have each swarm under a key of its own."""
        if not isinstance(content, dict) or "swarms" in content:
            return content
        return {**content, "swarms": {key: content[key] for key in content if key.startswith(("role", "weight"))}}


class Search:
    """A search under way in a run. `go` continues from the checkpoint, if there is one."""

    def __init__(
        self,
        pool: ExpertPool,
        evaluator: Evaluator,
        rng: np.random.Generator,
        settings: SearchSettings | None = None,
    ) -> None:
        self._pool, self._evaluator, self._recipe = pool, evaluator, evaluator.recipe
        self._settings, self._checkpointer = settings or evaluator.recipe.search, evaluator.checkpointer
        self._seed = seed_of(rng)
        self._nodes = evaluator.nodes
        self._iteration, self._stalled, self._spent = 0, 0, False
        self._shares: dict[tuple[str, str], Array] = {}  # of experts by name and digest
        self._first: Evaluation | None = None
        self._told: dict[str, Array] = {}  # the last utilities of graphs ("role") and experts ("weight")

    def go(self) -> Findings:
        """Search to the end: no new best for long, enough iterations, or the budget spent."""
        if not self._checkpointer.resumed(SwarmsState, self._restore):
            self._start()
        while not self._stop():
            self._iterate()
        assert self._first is not None
        findings = Findings(self._singles, self._first, self._best.system, self._iteration, self._stop())
        self._checkpointer.end(findings)
        return findings

    def _start(self) -> None:
        systems = [self._evaluator.alone(expert) for expert in self._pool.experts]
        self._checkpointer.begin("experts alone", len(systems) * self._evaluator.calls(1, len(self._evaluator.dev)))
        self._singles = tuple(self._evaluator.evaluate(systems, "start", rival=False))
        by_score = sorted(range(len(systems)), key=lambda i: (-np.nan_to_num(self._singles[i].utility), i))
        self._members = sorted(by_score[: self._nodes])
        adjacencies = stream(self._seed, "adjacency").uniform(0, 1, (self._settings.graphs, self._nodes**2))
        if self._settings.first_graphs == "ranked":
            for adjacency, tree in zip(adjacencies, self._ranked(), strict=False):
                adjacency[:] = encoded(tree).ravel()
        self._role = Swarm(adjacencies, self._recipe.role, stream(self._seed, "role"))
        self._weight = [
            Swarm(np.eye(len(group)), self._recipe.weight, stream(self._seed, "weight", g))
            for g, group in enumerate(self._pool.groups)
        ]
        self._stand(np.eye(len(self._pool.experts)))

    def _ranked(self) -> list[Topology]:
        """A chain and a star of the members, the worst alone first, the best answering; ties are drawn."""
        drawn = stream(self._seed, "ranked").permutation(self._nodes).tolist()
        row = sorted(drawn, key=lambda node: float(np.nan_to_num(self._singles[self._members[node]].utility)))
        shapes = Topology.chain(self._nodes), Topology.star(self._nodes)
        return [Topology.of(self._nodes, ((row[u], row[v]) for u, v in shape.edges)) for shape in shapes]

    def _iterate(self) -> None:
        """One role-step and one weight-step, a line of history, a checkpoint."""
        t = self._iteration
        role: Step | None = None
        weight: Step | None = None
        weighs = "weight" in self._settings.steps
        waiting = weighs and t < self._settings.weight_after
        before = self._best.utility if self._evaluator.archive.finalists else -np.inf
        try:
            experts = self._moved() if weighs else self._pool.experts
            if (t == 0 or "role" in self._settings.steps) and not self._left_out("role", t):
                role = self._role_step(t, experts)
            if weighs and not waiting and not self._left_out("weight", t):
                weight = self._weight_step(t, experts)
        except BudgetSpent as fault:
            self._spent = True
            if fault.evaluations:
                self._consider(fault.evaluations)
            if not self._evaluator.archive.finalists:
                raise
        if waiting or self._best.utility > before:
            self._stalled = 0
        elif role or weight:  # an iteration that left both steps out shows nothing
            self._stalled += 1
        best = Best(utility=self._best.utility, step=self._best.step)
        if interval := self._interval(self._best, t):
            best.ci = interval
        entry = HistoryEntry.of(t, best, self._ledger)
        if role:
            entry.role = role
        if weight:
            entry.weight = weight
        self._iteration += 1
        self._keep(entry)

    def _moved(self) -> tuple[Expert, ...]:
        """The experts where the weight-step's swarms now stand.

        Every move is a sum of the start, so a particle is its shares of the pool's experts: whatever an expert weighs,
        a swarm and its checkpoint are small.
        """
        shares = np.eye(len(self._pool.experts))  # an expert of no group has no weights and stays
        for swarm, group in zip(self._weight, self._pool.groups, strict=True):
            shares[np.ix_(group, group)] = swarm.ask()
        return self._stand(shares)

    def _stand(self, shares: Array) -> tuple[Expert, ...]:
        """The blends of `shares`, shape (n, n), which are remembered until no kept system needs them."""
        experts = self._pool.blends(shares, self._pool.names)
        needed = [*([self._first] if self._first else []), *self._evaluator.archive.finalists]
        kept = {(e.name, e.digest) for found in needed for e in found.system.experts}
        self._shares = {key: row for key, row in self._shares.items() if key in kept}
        self._shares |= {(e.name, e.digest): row for e, row in zip(experts, shares, strict=True)}
        return experts

    def _role_step(self, t: int, experts: Sequence[Expert]) -> Step:
        rng, decode = stream(self._seed, "decode", t), self._recipe.decode
        matrices = self._role.ask().reshape(-1, self._nodes, self._nodes)
        threshold = self._settings.threshold
        sparse = matrices if threshold is None else [above(matrix, threshold) for matrix in matrices]
        topologies = [decode.decode(matrix, rng) for matrix in sparse]
        nodes: list[Sequence[int]] = [range(self._nodes)] * len(topologies)
        if threshold is not None:
            thin = [thinned(*pair, threshold) for pair in zip(topologies, matrices, strict=True)]
            topologies, nodes = [one.topology for one in thin], [one.nodes for one in thin]
        members = [experts[i] for i in self._members]
        self._checkpointer.begin(f"iteration {t + 1}: roles", len(topologies) * self._step_calls())
        systems = [
            self._evaluator.system(topology, [members[v] for v in left])
            for topology, left in zip(topologies, nodes, strict=True)
        ]
        kept = self._kept(t, "role", len(systems))
        evaluations = self._evaluator.evaluate([systems[i] for i in kept], f"{t}/role")
        utilities = self._told.get("role", np.full(len(systems), np.nan)).copy()
        utilities[kept] = [evaluation.utility for evaluation in evaluations]
        beside = np.abs(matrices) * (1 - np.eye(self._nodes))
        self._role.tell(utilities - self._settings.l1 * beside.sum(axis=(1, 2)))
        self._told["role"] = utilities
        step = Step(utilities=io.without_nan(utilities.tolist())).counting(faults(evaluations))
        _note_dropped(step, len(systems) - len(kept))
        if threshold is not None or self._settings.l1:
            step.edges_gone = float(np.mean([edges_gone(matrix, threshold or 0.0) for matrix in matrices]))
        if kept:
            top = self._consider(evaluations)
            self._now = top.system.topology
            if interval := self._interval(top, t, utilities):
                step.ci = interval
        step.edges = [list(edge) for edge in sorted(self._now.edges)]
        return step

    def _left_out(self, step: str, t: int) -> bool:
        """Whether iteration `t` goes without this step (Dropout-R and Dropout-W, arXiv 2502.04510, figure 9)."""
        share = {"role": self._settings.dropout_role, "weight": self._settings.dropout_weight}[step]
        if not share or t == 0 or stream(self._seed, f"dropout {step}", t).uniform() >= share:
            return False
        count = {"role": self._settings.graphs, "weight": self._settings.assignments}[step]
        self._evaluator.skip(count * self._step_calls())
        return True

    def _kept(self, t: int, step: str, count: int) -> list[int]:
        """Which of a step's `count` systems are scored: all less those that drop_k and drop_n leave out."""
        if t == 0:
            return list(range(count))
        none = stream(self._seed, "drop iteration", t).uniform() < self._settings.drop_k
        drawn = stream(self._seed, f"drop {step}", t).uniform(size=count)
        kept = [] if none else np.flatnonzero(drawn >= self._settings.drop_n).tolist()
        self._evaluator.skip((count - len(kept)) * self._step_calls())
        return kept

    def _weight_step(self, t: int, experts: Sequence[Expert]) -> Step:
        topology = self._best.system.topology if self._settings.weight_topology == "best" else self._now
        rng = stream(self._seed, "assignment", t)
        assignments = draw_assignments(
            self._settings.assignments, topology.size, len(experts), rng, self._settings.draw
        )
        self._checkpointer.begin(f"iteration {t + 1}: weights", len(assignments) * self._step_calls())
        kept = self._kept(t, "weight", len(assignments))
        systems = [self._evaluator.system(topology, [experts[i] for i in assignments[k]]) for k in kept]
        evaluations = self._evaluator.evaluate(systems, f"{t}/weight")
        utilities = np.full(len(assignments), np.nan)
        utilities[kept] = [evaluation.utility for evaluation in evaluations]
        score = jfk_score(assignments, utilities, len(experts)).score
        if len(kept) < len(assignments):
            score = np.where(np.isnan(score), self._told["weight"], score)
        self._told["weight"] = score
        for swarm, group in zip(self._weight, self._pool.groups, strict=True):
            swarm.tell(score[list(group)])
        scores = dict(zip((e.name for e in experts), io.without_nan(score.tolist()), strict=True))
        step = Step(utilities=io.without_nan(utilities.tolist()), jfk=scores).counting(faults(evaluations))
        _note_dropped(step, len(assignments) - len(kept))
        if kept and (interval := self._interval(self._consider(evaluations), t, utilities)):
            step.ci = interval
        return step

    def _consider(self, evaluations: Sequence[Evaluation]) -> Evaluation:
        """The best of `evaluations`. All failed: the run stops and can be resumed."""
        whole = [evaluation for evaluation in evaluations if not np.isnan(evaluation.utility)]
        if not whole:
            step = evaluations[0].step
            fault = self._evaluator.executor.fault
            raise EngineError(
                f"every system of step {step} had failed calls (the last: {fault}); see the engine, or "
                "take the question that breaks it out of the task, then resume the run"
            )
        top = max(whole, key=lambda evaluation: evaluation.utility)
        if self._first is None:
            self._first, self._now = top, top.system.topology
        return top

    def _interval(self, found: Evaluation, t: int, among: Array | tuple[float, ...] = ()) -> list[float] | None:
        """The 95 % bootstrap interval of a utility, for a journal that keeps it.

        None where it is no mean over examples or not the best `among`.
        """
        if not self._checkpointer.intervals or self._evaluator.task.parts or not np.isfinite(found.scores).all():
            return None
        if len(among) and found.utility < np.nanmax(among):
            return None
        return [*bootstrap_interval(found.scores, stream(self._seed, "interval", t), resamples=2000)]

    def _stop(self) -> dict[str, float]:
        if self._spent:
            return {"budget": self._ledger.generated}
        if self._iteration >= self._settings.iterations:
            return {"iterations": self._iteration}
        return {"patience": self._stalled} if self._stalled >= self._settings.patience else {}

    @property
    def _best(self) -> Evaluation:
        """The best of all steps; the experts alone are no rivals here."""
        return self._evaluator.archive.finalists[0]

    @property
    def _ledger(self) -> Ledger:
        return self._evaluator.budget.ledger

    def _step_calls(self) -> int:
        return self._evaluator.calls(self._nodes, len(self._evaluator.dev))

    def _keep(self, entry: HistoryEntry) -> None:
        """Hand over a line of the history and all that `_restore` needs."""
        assert self._first is not None
        tensors: dict[str, Array] = {f"told.{step}": values for step, values in self._told.items()}
        finalists = self._evaluator.archive.finalists
        state = SwarmsState(
            iteration=self._iteration,
            stalled=self._stalled,
            spent=self._spent,
            members=self._members,
            ledger=asdict(self._ledger),
            now=Graph(**self._now.to_json()),
            wall_s=self._evaluator.budget.seconds,
            swarms={name: _split(swarm.state(), f"{name}.", tensors) for name, swarm in self._swarms().items()},
            first=self._pack(self._first, "first", tensors),
            finalists=[self._pack(found, f"final{i}", tensors) for i, found in enumerate(finalists)],
        )
        tensors["singles"] = np.stack([single.scores for single in self._singles])
        self._checkpointer.keep(entry, tensors, state, self._best.system)

    def _swarms(self) -> dict[str, Swarm]:
        """Every swarm by its name in the checkpoint."""
        return {"role": self._role} | {f"weight{g}": swarm for g, swarm in enumerate(self._weight)}

    def _restore(self, tensors: Mapping[str, Array], state: SwarmsState) -> None:
        self._iteration, self._stalled, self._spent = state.iteration, state.stalled, state.spent
        self._members, self._now = state.members, state.now.topology()
        self._evaluator.budget.restore(state.ledger, state.wall_s)
        self._role = Swarm.from_state(_join(state.swarms["role"], "role.", tensors), self._recipe.role)
        self._weight = [
            Swarm.from_state(_join(state.swarms[f"weight{g}"], f"weight{g}.", tensors), self._recipe.weight)
            for g in range(len(self._pool.groups))
        ]
        self._first = self._unpack("first", tensors, state.first)
        self._told = {step: tensors[f"told.{step}"] for step in ("role", "weight") if f"told.{step}" in tensors}
        self._evaluator.archive.finalists[:] = [
            self._unpack(f"final{i}", tensors, packed) for i, packed in enumerate(state.finalists)
        ]
        self._singles = tuple(
            Evaluation(self._evaluator.alone(expert), scores, "start", combine=self._evaluator.combine)
            for expert, scores in zip(self._pool.experts, tensors["singles"], strict=True)
        )

    def _pack(self, found: Evaluation, name: str, tensors: dict[str, Array]) -> _Packed:
        """The JSON-able part of an evaluation; its arrays go to `tensors`."""
        system = found.system
        tensors[f"{name}.scores"] = found.scores
        tensors[f"{name}.shares"] = np.stack([self._shares[e.name, e.digest] for e in system.experts])
        return _Packed(step=found.step, topology=Graph(**system.topology.to_json()), experts=system.assignment)

    def _unpack(self, name: str, tensors: Mapping[str, Array], packed: _Packed) -> Evaluation:
        shares = tensors[f"{name}.shares"]
        experts = self._pool.blends(shares, packed.experts)
        self._shares |= {(e.name, e.digest): row for e, row in zip(experts, shares, strict=True)}
        system = self._evaluator.system(packed.topology.topology(), experts)
        return Evaluation(system, tensors[f"{name}.scores"], packed.step, combine=self._evaluator.combine)


def _note_dropped(step: Step, count: int) -> None:
    """Say how many of a step's systems were left out, if any were."""
    if count:
        step.dropped = count


def _split(state: Mapping[str, Any], prefix: str, tensors: dict[str, Array]) -> dict[str, JsonValue]:
    """The JSON-able part of `state`; its arrays go to `tensors`."""
    tensors |= {prefix + key: value for key, value in state.items() if isinstance(value, np.ndarray)}
    return {key: value for key, value in state.items() if not isinstance(value, np.ndarray)}


def _join(state: Mapping[str, JsonValue], prefix: str, tensors: Mapping[str, Array]) -> dict[str, object]:
    arrays = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return {**state, **arrays}
