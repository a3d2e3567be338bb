"""What a finished growth has to tell: how the system found came about, and whom the search came to rely on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from hswarm.io import Array
from hswarm.methods.growth.checkpoint import GrowthState, unpacked
from hswarm.methods.growth.model import Model
from hswarm.methods.growth.scoreboard import Origin, Scoreboard, mean_known
from hswarm.methods.growth.terms import Term, pure
from hswarm.session.records import Ancestor, Growth


def told(board: Scoreboard, model: Model | None, found: Term, names: Sequence[str]) -> Growth:
    """The story of `found`."""
    return Growth(
        tried=len(board.scores),
        lineage=_lineage(board.scores, board.origins, found, names),
        experts=_banzhaf(board, names),
        orders=_orders(model, names) if model else [],
    )


def lineage_so_far(tensors: Mapping[str, Array], state: GrowthState) -> list[Ancestor]:
    """How the leader of a checkpoint came about; [] if the checkpoint does not name the pool's experts."""
    if not state.experts or not state.leaders:
        return []
    kept = unpacked(tensors, state.board)
    return _lineage(kept.scores, kept.origins, kept.marked[state.leaders - 1], list(state.experts))


def _lineage(
    scores: Mapping[Term, Array], origins: Mapping[Term, Origin], found: Term, names: Sequence[str]
) -> list[Ancestor]:
    steps: list[Ancestor] = []
    at: Term | None = found
    while at is not None and len(steps) <= len(origins):
        origin, row = origins.get(at), scores.get(at, np.empty(0))
        steps.append(
            Ancestor(
                step=origin.step if origin else "",
                move=origin.kind if origin else "part",
                system=at.text(names),
                score=mean_known(row),
                questions=len(row),
            )
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


def _orders(model: Model, names: Sequence[str], count: int = 10) -> list[list[str | float]]:
    pairs = [(u, v) for a, b in combinations(range(len(names)), 2) for u, v in ((a, b), (b, a))]
    expected = model.predict([Term.of(pure(v), [Term.of(pure(u))]) for u, v in pairs])
    order = np.argsort(-np.round(expected, 9), kind="stable")[:count]
    return [[names[pairs[i][0]], names[pairs[i][1]], float(expected[i])] for i in order]
