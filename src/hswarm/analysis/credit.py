"""Credit: what each expert, node and edge of the found system is worth, on dev.

JFK-scores are averages over what the search scored anyway, so they cost nothing. Leave-one-out and Shapley values are
of the game in which a coalition is the system without the others (analysis/part.py) and nobody at all scores 0. An
expert is also replaced by one that has nothing to say, and by one that states wrong answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hswarm import io
from hswarm.analysis.context import AnalysisContext, analysis
from hswarm.analysis.replay import Scored
from hswarm.analysis.result import AnalysisResult, Table
from hswarm.analysis.subgraph import keep_edges, keep_nodes
from hswarm.core.jfk import jfk_score
from hswarm.core.shapley import Array, Coalition, Shapley, shapley
from hswarm.core.stats import Interval, bootstrap_interval
from hswarm.core.topology import Topology
from hswarm.errors import RunError
from hswarm.plots.bars import bars_svg
from hswarm.scorers.normal import normal
from hswarm.system.rules import Script
from hswarm.system.system import System
from hswarm.tasks.task import Example

P = TypeVar("P")
USELESS = "I do not know."


class JFKRow(NamedTuple):
    """A JFK-score, its standard error (nan where unknown) and how many systems it is of."""

    score: float
    error: float
    systems: int


@dataclass(frozen=True)
class Credit:
    """The players of one kind: names, JFK-scores, changes of the score without them and with a bad expert in their
    place (players, questions), and Shapley values."""

    kind: str
    names: tuple[str, ...]
    jfk: tuple[JFKRow, ...]
    without: Array
    values: Shapley
    useless: Array | None = None
    hostile: Array | None = None


@analysis("credit", "What nodes, edges and experts contribute to the score")
def credit(subject: AnalysisContext) -> AnalysisResult:
    """Experts, nodes and edges of the found system, on dev by default."""
    system, split = subject.system, subject.split("dev")
    size = system.topology.size
    examples = subject.examples(split, calls_a_question(system.topology))
    game = Game(subject, examples, system)
    experts = list(dict.fromkeys(system.assignment))
    nodes_of = [[v for v, name in enumerate(system.assignment) if name == expert] for expert in experts]
    edges = sorted(system.topology.edges)
    try:
        scored: Sequence[Scored] = subject.replay.scored
        says = []
    except RunError as fault:
        scored, says = (), [f"JFK-scores are unknown: {fault}"]
    jfk = jfk_rows(system, scored, experts, edges)
    bad_experts, bad_nodes = _replaced(game, nodes_of), _replaced(game, [[v] for v in range(size)])
    made = [
        Credit("expert", tuple(experts), jfk[0], *game.worth(nodes_of, keep_nodes, 3), *bad_experts),
        Credit(
            "node",
            tuple(str(v + 1) for v in range(size)),
            jfk[1],
            *game.worth([[v] for v in range(size)], keep_nodes, 2),
            *bad_nodes,
        ),
    ]
    if edges:
        made.append(
            Credit(
                "edge",
                tuple(f"{u + 1} -> {v + 1}" for u, v in edges),
                jfk[2],
                *game.worth([[edge] for edge in edges], keep_edges, 1),
            )
        )
    says = [*_says(game, made, split), *says]
    first = made[0]
    picture = bars_svg(
        first.names,
        [_mean(row) for row in first.values.values],
        f"Shapley values of experts on {split}",
        [_interval(row) for row in first.values.values],
    )
    tables = tuple(_table(one, split) for one in made)
    numbers = {"split": split, "questions": len(examples), "whole": _mean(game.whole)} | {
        one.kind: _numbers(one) for one in made
    }
    return AnalysisResult(
        "credit", "Credit of experts, nodes and edges", tuple(says), tables, picture, numbers, subject.spent()
    )


class Game:
    """Scores of parts of a system, question by question, each part once."""

    def __init__(self, subject: AnalysisContext, examples: Sequence[Example], system: System) -> None:
        self.subject, self.examples, self.system = subject, examples, system
        self.whole = subject.scores([system], examples, "whole")[0]

    def scores(self, systems: Sequence[System | None], what: str) -> list[Array]:
        """Scores, shape (questions,), of each system; None answers nothing and scores 0."""
        there = [system for system in systems if system is not None]
        rows = iter(self.subject.scores(there, self.examples, what) if there else ())
        return [np.zeros(len(self.examples)) if system is None else next(rows) for system in systems]

    def worth(
        self, parts: Sequence[Sequence[P]], keep: Callable[[System, frozenset[P]], System], shares: int
    ) -> tuple[Array, Shapley]:
        """Of players that bring `parts` each: the score less that without them, shape (players, questions), and their
        Shapley values for one of `shares` equal parts of the calls that are left."""
        limit = self.subject.made + (self.subject.options.calls - self.subject.made) // shares

        def system(coalition: Coalition) -> System | None:
            kept = frozenset(piece for player in coalition for piece in parts[player])
            return keep(self.system, kept) if kept or keep is keep_edges else None

        def value(coalitions: Sequence[Coalition]) -> list[Array]:
            return self.scores([system(coalition) for coalition in coalitions], f"coalitions {self.subject.made}")

        def affordable(coalitions: Sequence[Coalition]) -> bool:
            calls = sum(made.calls for one in coalitions if (made := system(one)))
            return self.subject.made + calls * len(self.examples) <= limit

        players = frozenset(range(len(parts)))
        without = self.whole - np.array(value([players - {player} for player in range(len(parts))]))
        return without, shapley(len(parts), value, affordable, np.random.default_rng(0))


def calls_a_question(topology: Topology) -> int:
    """The most calls that all but Shapley values take: the system's own, and seven times (experts, nodes and edges left
    out; experts and nodes replaced by two scripts) for each node its descendants, and one that takes its place."""
    pairs = sum(len(topology.ancestors(node)) for node in range(topology.size))
    return topology.size + 7 * pairs


def jfk_rows(
    system: System, scored: Sequence[Scored], experts: Sequence[str], edges: Sequence[tuple[int, int]]
) -> tuple[tuple[JFKRow, ...], tuple[JFKRow, ...], tuple[JFKRow, ...]]:
    """JFK-scores of `experts`, of nodes and of `edges`.

    Of experts, and of nodes with their expert, over the weight-steps' assignments to the found topology; of edges over
    the role-steps' topologies that hold them.
    """
    here = [one for one in scored if one.kind == "weight" and one.topology == system.topology]
    roles = [one for one in scored if one.kind == "role" and one.topology.size == system.topology.size]
    names = sorted({name for one in here for name in one.assignment} | set(experts))
    assigned = np.array([[names.index(name) for name in one.assignment] for one in here], dtype=np.int64)
    utilities = [one.utility for one in here]
    found = jfk_score(assigned.reshape(len(here), system.topology.size), utilities, len(names))
    by_name = {name: JFKRow(*row) for name, *row in zip(names, *map(np.ndarray.tolist, found), strict=True)}
    nodes = [
        _average(utilities, [one.assignment[v] == name for one in here]) for v, name in enumerate(system.assignment)
    ]
    lines = [_average([one.utility for one in roles], [edge in one.topology.edges for one in roles]) for edge in edges]
    return tuple(by_name[name] for name in experts), tuple(nodes), tuple(lines)


def _average(utilities: Sequence[float], holds: Sequence[bool]) -> JFKRow:
    """The mean utility of the systems that hold a player, as a JFK-score of players that occur once at most."""
    assigned = np.where(np.array(holds, dtype=bool), 0, 1).reshape(-1, 1)
    found = jfk_score(assigned, utilities, 2)
    return JFKRow(float(found.score[0]), float(found.error[0]), int(found.counts[0]))


def wrong_answer(examples: Sequence[Example], place: int) -> str:
    """A wrong answer to the example at `place`: its next option, or the next answer that differs from its own."""
    example = examples[place]
    if example.choices:
        letters = [letter for letter in example.choices if letter != example.answer]
        return next((letter for letter in letters if letter > example.answer), letters[0] if letters else USELESS)
    others = [examples[(place + k) % len(examples)].answer for k in range(1, len(examples))]
    return next((other for other in others if normal(other) != normal(example.answer)), USELESS)


def _replaced(game: Game, players: Sequence[Sequence[int]]) -> tuple[Array, Array]:
    """Changes of the score, shape (players, questions), with a useless and with a hostile expert at their nodes."""
    examples = game.examples
    lines = {
        "useless": {example.id: USELESS for example in examples},
        "hostile": {example.id: wrong_answer(examples, i) for i, example in enumerate(examples)},
    }
    found: list[Array] = []
    for name, said in lines.items():
        script = Script.saying(name, said)
        systems = [
            replace(
                game.system,
                nodes=tuple(script if v in nodes else held for v, held in enumerate(game.system.nodes)),
            )
            for nodes in players
        ]
        found.append(np.array(game.scores(systems, f"{name} {len(players)} {len(found)}")) - game.whole)
    return found[0], found[1]


def _says(game: Game, made: Sequence[Credit], split: str) -> list[str]:
    questions, whole = len(game.examples), _mean(game.whole)
    says = [f"the system scores {whole:.3f} on {questions} {split} questions"]
    for one in made:
        means = [_mean(row) for row in one.values.values]
        orders = "all coalitions" if one.values.orders is None else f"{one.values.orders} orders"
        if np.isfinite(means).any():
            top = int(np.nanargmax(means))
            says.append(f"{one.kind} {one.names[top]} is worth most: {means[top]:.3f} by its Shapley value ({orders})")
        else:
            says.append(f"no Shapley values of {one.kind}s: --calls {game.subject.options.calls} does not reach")
    nodes = made[1]
    assert nodes.useless is not None
    assert nodes.hostile is not None
    for word, change in (("useless", nodes.useless), ("hostile", nodes.hostile)):
        means = [_mean(row) for row in change]
        worst = int(np.nanargmin(means))
        says.append(
            f"one {word} expert costs {-np.nanmean(means):.3f} on average, {-means[worst]:.3f} at node {worst + 1}"
        )
    if failed := int(np.isnan(game.whole).sum()):
        says.append(f"{failed} questions had failed calls and are left out")
    return says


def _table(one: Credit, split: str) -> Table:
    bad = one.useless is not None and one.hostile is not None
    head = (
        one.kind,
        "JFK",
        "systems",
        "without it",
        "Shapley value",
        "error of orders",
        *(("useless instead", "hostile instead") if bad else ()),
    )
    rows = []
    for i, name in enumerate(one.names):
        jfk = one.jfk[i]
        spread = "" if np.isnan(jfk.error) else f" ± {jfk.error:.3f}"
        score = "" if np.isnan(jfk.score) else f"{jfk.score:.3f}{spread}"
        error = one.values.error[i]
        cells = [
            name,
            score,
            str(jfk.systems),
            _signed(-one.without[i]),
            _signed(one.values.values[i]),
            "exact" if one.values.orders is None else "" if np.isnan(error) else f"{error:.3f}",
        ]
        rows.append((*cells, *(_signed(change[i]) for change in (one.useless, one.hostile) if change is not None)))
    return Table(
        f"Each {one.kind} on {split}: JFK ± standard error; changes of the score with 95 % intervals", head, tuple(rows)
    )


def _numbers(one: Credit) -> dict[str, object]:
    def means(rows: Array | None) -> list[float | None] | None:
        return None if rows is None else io.without_nan([_mean(row) for row in rows])

    return {
        "names": list(one.names),
        "jfk": io.without_nan([float(row.score) for row in one.jfk]),
        "without": means(-one.without),
        "shapley": means(one.values.values),
        "orders": one.values.orders,
        "useless": means(one.useless),
        "hostile": means(one.hostile),
    }


def _mean(row: NDArray[np.float64]) -> float:
    """The mean over questions without failed calls, nan if there is none."""
    return float(row[np.isfinite(row)].mean()) if np.isfinite(row).any() else float("nan")


def _interval(row: NDArray[np.float64]) -> Interval | None:
    return bootstrap_interval(row[np.isfinite(row)], np.random.default_rng(0)) if np.isfinite(row).any() else None


def _signed(row: NDArray[np.float64]) -> str:
    interval = _interval(row)
    return f"{_mean(row):+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]" if interval else ""
