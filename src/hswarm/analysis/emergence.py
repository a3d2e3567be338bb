"""Correctness emergence: which dev questions turn right or wrong as the search goes on. Makes no call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hswarm.analysis.context import AnalysisContext, analysis
from hswarm.analysis.replay import Replay, Scored
from hswarm.analysis.result import AnalysisResult, Table
from hswarm.plots.bars import field_svg
from hswarm.runs.schema import spoken_step
from hswarm.scorers.base import SOLVED

KINDS = ("right", "wrong again", "right in another")  # -1: not right in any yet
Flags = NDArray[np.bool_]


@analysis("emergence", "Which dev questions turn right or wrong as the search goes on", paper="arXiv 2502.04510")
def emergence(subject: AnalysisContext) -> AnalysisResult:
    """The best system so far after each iteration, question by question, from the calls of the search."""
    followed = subject.replay
    leaders, right, touched = followed_questions(followed)
    alone = np.array([scored.scores >= SOLVED for scored in followed.scored if scored.kind == "start"])
    unsolved = ~alone.any(axis=0)
    head = ("iteration", "best so far", "found in", "right", "turned right", "turned wrong", "some system was right")
    rows = tuple(
        (
            str(t + 1),
            f"{leader.utility:.3f}",
            spoken_step(leader.step),
            str(int(right[t].sum())),
            str(int((right[t] & ~right[t - 1]).sum())) if t else "",
            str(int((right[t - 1] & ~right[t]).sum())) if t else "",
            str(int(touched[t].sum())),
        )
        for t, leader in enumerate(leaders)
    )
    lost = int((right.any(axis=0) & ~right[-1]).sum())
    says = (
        f"of {right.shape[1]} dev questions the best system is right on {int(right[0].sum())} after iteration 1, "
        f"on {int(right[-1].sum())} after {len(leaders)}; right in an earlier best and wrong at the end: {lost}",
        f"of {int(unsolved.sum())} that no expert solved alone {int((right[-1] & unsolved).sum())} come out right",
        f"{int((touched[-1] & ~right[-1]).sum())} more were right in some system on the way",
    )
    numbers = {
        "right": right.astype(int).tolist(),
        "some": touched.astype(int).tolist(),
        "unsolved": unsolved.tolist(),
        "steps": [leader.step for leader in leaders],
    }
    table = Table("The best system so far, on dev", head, rows)
    picture = field_svg(
        _states(right, touched), KINDS, "the best system so far on dev questions (rows) over iterations"
    )
    return AnalysisResult("emergence", "Correctness emergence", says, (table,), picture, numbers, subject.spent())


def followed_questions(followed: Replay) -> tuple[list[Scored], Flags, Flags]:
    """The best system so far after each iteration (of equals the first), what it has right, and what any system had
    right by then, both of shape (iterations, questions)."""
    leaders: list[Scored] = []
    touched: list[Flags] = []
    best: Scored | None = None
    some = np.zeros_like(followed.scored[0].scores, dtype=bool)
    for t in range(followed.iterations):
        for scored in _of(followed.scored, t):
            some = some | (scored.scores >= SOLVED)
            if not np.isnan(scored.utility) and (best is None or scored.utility > best.utility):
                best = scored
        assert best is not None  # an iteration in which all failed ends the search
        leaders.append(best)
        touched.append(some)
    return leaders, np.array([leader.scores >= SOLVED for leader in leaders]), np.array(touched)


def _of(scored: Sequence[Scored], iteration: int) -> list[Scored]:
    return [one for one in scored if one.iteration == iteration]


def _states(right: Flags, touched: Flags) -> NDArray[np.int64]:
    """KINDS as (questions, iterations), the questions that turn right early first."""
    before = np.logical_or.accumulate(right, axis=0)
    states = np.where(right, 0, np.where(before, 1, np.where(touched, 2, -1))).T
    first = np.where(before.any(axis=0), before.argmax(axis=0), len(right))
    return np.asarray(states[np.lexsort((-touched.sum(axis=0), -right.sum(axis=0), first))], dtype=np.int64)
