"""`hswarm route`: pick for each question among the systems of a finished run, learnt from dev.

A search leaves systems of different cost that answer different questions. A few of them become one system (equal nodes
once) with a route (system/route.py) at its sink. What it would score is told by cross-validation on dev; test is looked
at once, beside the system found, a vote of the same systems, and each of them alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hswarm import io
from hswarm.analysis.context import AnalysisContext, Options
from hswarm.core.streams import stream
from hswarm.core.topology import Topology
from hswarm.engines.base import Completion
from hswarm.errors import RunError
from hswarm.experts.expert import Node
from hswarm.methods.growth.checkpoint import GrowthState, refill
from hswarm.methods.growth.races import question_order
from hswarm.methods.growth.scoreboard import Scoreboard
from hswarm.plots.points import Point, points_svg
from hswarm.records import Record
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress
from hswarm.runs.report import paired_gain, summary
from hswarm.runs.schema import Gain, Summary
from hswarm.session.evaluation import Evaluation, identity
from hswarm.session.evaluator import Evaluator
from hswarm.system.execution import Execution, Plan
from hswarm.system.route import Route, Router
from hswarm.system.rules import Vote
from hswarm.system.system import System
from hswarm.tasks.task import Example

Array = NDArray[np.float64]
_ALL = 1e9  # `sure` that no answer reaches: all systems are asked
_PRICES, _SURE = (0.0, 0.01, 0.03, 0.1), (0.0, 0.3, 0.5, 0.7, 0.9, 1.2, _ALL)
_FOLDS = 10
ROUTE, FOUND = "route", "found system"


class Routed(Record):
    """A router's cross-validated score on dev, and the calls that an answer took."""

    price: float
    sure: float
    score: float
    calls: float


class Compared(Record):
    """A system on dev and test, and calls an answer. Of the route, dev is cross-validated."""

    name: str
    dev: float
    test: Summary | None
    calls: float


class RouteReport(Record):
    """route.json."""

    systems: list[str]
    front: list[Routed]
    chosen: Routed
    rows: list[Compared]
    weights: list[dict[str, float]]
    over_found: Gain | None
    new_calls: int


def route(run: Run, best: int, price: float, folder: Path, progress: Progress) -> RouteReport:
    """Write the routed system of at most `best` systems of a finished run to `folder`, with route.json and route.svg.

    A call must be worth `price`. RunError if the system found is as good as any route, its calls counted.
    """
    with AnalysisContext.open(run, Options(), progress) as context:
        evaluator = context.evaluator
        if any(len(example.context) > 1 for example in evaluator.dev):
            raise RunError("questions with a context in parts cannot be routed: a system deals them out to its nodes")
        if len(evaluator.dev) < _FOLDS:
            raise RunError(f"a route is learnt from {_FOLDS} dev questions at least, the run has {len(evaluator.dev)}")
        scored = _scored(run, evaluator)
        if identity(context.system) not in [identity(one.system) for one in scored]:
            scored.append(evaluator.seen(context.system))
        chosen = _complementary(scored, context.system, best, price)
        trial = Trial(evaluator, chosen, stream(run.recipe.seed, "route"))
        front = [trial.routed(setting, sure) for setting in _PRICES for sure in _SURE]
        ours = max(front, key=lambda at: at.score - price * at.calls)
        found = trial.alone(context.system)
        if ours.score - price * ours.calls <= found.score - price * found.calls + 1e-9:
            raise RunError(
                f"no route pays at a price of {price:g} a call: the system found scores {found.score:.3f} on dev for "
                f"{found.calls:g} calls, the best route {ours.score:.3f} for {ours.calls:.2f}; serve the run itself"
            )
        equal = max((one for one in scored if one.system.calls <= max(1, ours.calls)), key=lambda one: one.utility)
        router = trial.router(ours)
        system = union(chosen, Route.by(router))
        named = {ROUTE: system, f"best at no more calls: {_text(equal.system)}": equal.system, FOUND: context.system}
        rows, tests = _rows(trial, ours, named)
        report = RouteReport(
            systems=[_text(one) for one in chosen],
            front=sorted(_best(front), key=lambda at: at.calls),
            chosen=ours,
            rows=rows,
            weights=[_named(router, row) for row in router.weights],
            over_found=paired_gain(tests[0].scores, tests[2].scores, stream(1, ROUTE)) if tests else None,
            new_calls=evaluator.executor.ledger.generated,
        )
    system.save(folder)
    io.write_text(folder / "route.json", json.dumps(report.content(), indent=2) + "\n")
    io.write_text(folder / "route.svg", _picture(report) + "\n")
    return report


def union(systems: Sequence[System], end: Node) -> System:
    """One system of all, with `end` reading the reply of each in turn; nodes that reply alike are one.

    Where a node's prompt depends on its place, each system keeps its own nodes.
    """
    first = systems[0]
    shared = not (first.prompts.by_place or first.sampling.choose)
    number: dict[object, int] = {}
    nodes: list[Node] = []
    seeds: list[int] = []
    edges: list[tuple[int, int]] = []
    ends = []
    for s, system in enumerate(systems):
        own: dict[int, int] = {}
        for node in system.topology.order:
            reads = tuple(sorted(own[u] for u in system.topology.predecessors(node)))
            key = (system.nodes[node].digest, reads, system.sampling_at(node).seed, None if shared else (s, node))
            if key not in number:
                number[key] = len(nodes)
                nodes.append(system.nodes[node])
                seeds.append(system.sampling_at(node).seed)
                edges += [(u, len(number) - 1) for u in reads]
            own[node] = number[key]
        ends.append(own[system.topology.sink])
    edges += [(u, len(nodes)) for u in ends]
    seeds = [*seeds, first.sampling.seed] if any(system.seeds for system in systems) else []
    return replace(first, topology=Topology.of(len(nodes) + 1, edges), nodes=(*nodes, end), seeds=tuple(seeds))


def _scored(run: Run, evaluator: Evaluator) -> list[Evaluation]:
    """Systems of the run with a score on every dev question: every expert alone, and what growth scored, else the parts
    of the system found."""
    alone = evaluator.evaluate([evaluator.alone(expert) for expert in evaluator.pool.experts], "route/experts")
    if run.recipe.search.method.startswith("growth") and (saved := run.load_state(GrowthState)):
        tensors, state = saved
        order = state.order or question_order(evaluator.dev, stream(run.recipe.seed, "questions"))
        board = Scoreboard(evaluator, order, 0)
        refill(board, tensors, state.board)
        made = [board.evaluation(term) for term in board.finished()]
        return [*made, *(one for one in alone if one.whole)]
    system = run.best
    below = {system.topology.ancestors(node) for node in range(system.topology.size)}
    parts = [system.subgraph(nodes) for nodes in sorted(below, key=lambda nodes: (len(nodes), sorted(nodes)))]
    return [one for one in [*evaluator.evaluate(parts, "route/parts"), *alone] if one.whole]


def _complementary(scored: Sequence[Evaluation], found: System, best: int, price: float) -> list[System]:
    """The system found and those that add most to it, if the best were known for each question; smallest first."""
    values = np.array([one.scores - price * one.system.calls for one in scored])
    chosen = [[identity(one.system) for one in scored].index(identity(found))]
    while len(chosen) < best:
        so_far = values[chosen].max(axis=0)
        means = np.maximum(values, so_far).mean(axis=1)
        new = int(np.argmax(means))
        if means[new] <= so_far.mean() + 1e-9:
            break
        chosen.append(new)
    return sorted((scored[i].system for i in chosen), key=lambda system: system.topology.size)


@dataclass
class Trial:
    """What every one of `systems` replies to each dev question, and what routes among them would."""

    evaluator: Evaluator
    systems: Sequence[System]
    rng: np.random.Generator

    @property
    def examples(self) -> Sequence[Example]:
        return self.evaluator.dev

    @cached_property
    def scores(self) -> Array:
        """Shape (systems, examples)."""
        made = self.evaluator.evaluate(self.systems, "route/scores")
        if not all(one.whole for one in made):
            raise RunError("calls on dev failed; see the engine, then route again")
        return np.array([one.scores for one in made])

    @cached_property
    def _replies(self) -> list[list[Completion]]:
        """The reply of every node of the union to every example."""
        everyone = union(self.systems, Route.by(Router((), ((0.0, 0.0),) * len(self.systems), sure=_ALL)))
        (nodes,) = self.evaluator.executor.run([everyone], self.examples, "route/replies")
        return nodes

    @cached_property
    def _folds(self) -> list[tuple[list[int], Router]]:
        """Questions, and a router that has not seen them."""
        order = self.rng.permutation(len(self.examples)).tolist()
        folds = [order[i::_FOLDS] for i in range(min(_FOLDS, len(order)))]
        rest = [[i for i in order if i not in fold] for fold in folds]
        return [(fold, self._fit(kept)) for fold, kept in zip(folds, rest, strict=True)]

    def _fit(self, part: Sequence[int]) -> Router:
        return Router.fit([self.examples[i] for i in part], self.scores[:, list(part)])

    def router(self, at: Routed) -> Router:
        """The router of all dev questions."""
        return replace(self._fit(range(len(self.examples))), price=at.price, sure=at.sure)

    def alone(self, system: System) -> Routed:
        """What the route must do better than: one of the systems, whatever the question."""
        place = [identity(one) for one in self.systems].index(identity(system))
        return Routed(price=0.0, sure=0.0, score=float(self.scores[place].mean()), calls=system.calls)

    def routed(self, price: float, sure: float) -> Routed:
        """The mean over questions that the router has not seen."""
        score = calls = 0.0
        for fold, router in self._folds:
            plan = Plan(union(self.systems, Route.by(replace(router, price=price, sure=sure))))
            for e in fold:
                gained, asked = self._answered(plan, e)
                score, calls = score + gained, calls + asked
        count = len(self.examples)
        return Routed(price=price, sure=sure, score=score / count, calls=calls / count)

    def _answered(self, plan: Plan, e: int) -> tuple[float, int]:
        """The score of the route's answer to example `e`, and its calls."""
        execution, calls = Execution(plan, self.examples[e]), 0
        while execution.answer is None:
            for node in execution.ready():
                execution.tell(node, self._replies[node][e])
                calls += plan.calling[node].calls
        ends = [self._replies[end][e].text for end in plan.ends]
        return float(self.scores[ends.index(execution.answer.text), e]), calls


def _best(front: Sequence[Routed]) -> list[Routed]:
    """Those that no other reaches with as few calls."""
    ranked = sorted(front, key=lambda at: (at.calls, -at.score))
    return [at for i, at in enumerate(ranked) if all(at.score > other.score + 1e-9 for other in ranked[:i])]


def _rows(trial: Trial, ours: Routed, named: dict[str, System]) -> tuple[list[Compared], list[Evaluation]]:
    """The systems of `named`, the route first, a vote of all, each of the others alone; and what they scored on test,
    which is asked of all of them together."""
    evaluator, known = trial.evaluator, [identity(system) for system in named.values()]
    named |= {"vote of all": union(trial.systems, Vote.new())}
    named |= {_text(one): one for one in trial.systems if identity(one) not in known}
    others = evaluator.evaluate([*named.values()][1:], "route/alone")
    tests = evaluator.final(list(named.values())) if evaluator.task.test else []
    rows = [
        Compared(name=ROUTE, dev=ours.score, test=None, calls=ours.calls),
        *(
            Compared(name=name, dev=one.utility, test=None, calls=one.system.calls)
            for name, one in zip([*named][1:], others, strict=True)
        ),
    ]
    for row, test in zip(rows, tests, strict=False):
        row.test, row.calls = summary(test.scores, stream(0, ROUTE)), test.calls / len(test.scores)
    return rows, tests


def _text(system: System) -> str:
    """A system in a line: "lun(wex)" is lun, who reads wex."""

    def told(node: int) -> str:
        reads = ", ".join(told(u) for u in system.topology.predecessors(node))
        return f"{system.nodes[node].name}({reads})" if reads else system.nodes[node].name

    return told(system.topology.sink)


def _named(router: Router, row: Sequence[float], count: int = 8) -> dict[str, float]:
    """The weights that count most, by word."""
    words = sorted(zip(("(length)", *router.words), row[1:], strict=True), key=lambda one: -abs(one[1]))[:count]
    return {"(constant)": row[0], **dict(words)}


def _picture(report: RouteReport) -> str:
    routes = [Point(ROUTE, at.calls, at.score) for at in report.front]
    others = [Point(row.name, row.calls, row.dev) for row in report.rows[1:]]
    return points_svg({"routes (cross-validated) and systems": routes + others}, "calls an answer", "dev", marked=ROUTE)
