"""What a finished growth has to tell: how the system found came about, and whom the search came to rely on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TypedDict

import numpy as np

from hswarm.methods.growth.model import Model
from hswarm.methods.growth.scoreboard import Scoreboard
from hswarm.methods.growth.terms import Term, pure


class Step(TypedDict):
    """A term on the way to the system found: the move that made it and its mean on the questions it was asked."""

    step: str
    move: str
    system: str
    score: float
    questions: int


class Story(TypedDict):
    """Part `growth` of report.json.

    `tried` counts the systems scored. `lineage` leads from the start to the system found. `experts` is the gain by each
    expert (Banzhaf value). `orders` are the ordered pairs that the model thinks best: first, then, expected score.
    """

    tried: int
    lineage: list[Step]
    experts: dict[str, float]
    orders: list[tuple[str, str, float]]


def told(board: Scoreboard, model: Model | None, found: Term, names: Sequence[str]) -> Story:
    """The story of `found`."""
    return {
        "tried": len(board.scores),
        "lineage": _lineage(board, found, names),
        "experts": _banzhaf(board, names),
        "orders": _orders(model, names) if model else [],
    }


def _lineage(board: Scoreboard, found: Term, names: Sequence[str]) -> list[Step]:
    steps: list[Step] = []
    at: Term | None = found
    while at is not None and len(steps) <= len(board.origins):
        origin = board.origins.get(at)
        steps.append(
            {
                "step": origin.step if origin else "",
                "move": origin.kind if origin else "part",
                "system": at.text(names),
                "score": board.mean(at),
                "questions": len(board.scores.get(at, ())),
            }
        )
        at = origin.parent if origin else None
    return steps[::-1]


def _banzhaf(board: Scoreboard, names: Sequence[str]) -> dict[str, float]:
    """How much higher terms with an expert score than terms without it, a set of experts at a time.

    Over all pairs of sets that were scored and differ by the expert alone, each set by its best term: the Banzhaf value
    restricted to the sets that the search looked at.
    """
    best: dict[frozenset[int], float] = {frozenset(): 0.0}
    for term in board.scores:
        experts = frozenset(i for node in term.nodes for i, _ in node.mix)
        best[experts] = max(best.get(experts, 0.0), board.mean(term))
    values = {}
    for i, name in enumerate(names):
        gaps = [score - best[group - {i}] for group, score in best.items() if i in group and group - {i} in best]
        values[name] = float(np.mean(gaps)) if gaps else 0.0
    return values


def _orders(model: Model, names: Sequence[str], count: int = 10) -> list[tuple[str, str, float]]:
    pairs = [(u, v) for a, b in combinations(range(len(names)), 2) for u, v in ((a, b), (b, a))]
    expected = model.predict([Term.of(pure(v), [Term.of(pure(u))]) for u, v in pairs])
    order = np.argsort(-np.round(expected, 9), kind="stable")[:count]
    return [(names[pairs[i][0]], names[pairs[i][1]], float(expected[i])) for i in order]
