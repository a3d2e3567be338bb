"""Racing: systems meet the same questions in the same order, and those that fall behind the leader are asked no more.

Only questions that one answers and the other does not tell two systems apart, so a candidate is dropped by its paired
difference to the leader (as CAPO does for prompts, arXiv 2504.16005). The leader itself is known on every question
that a race goes up to and is never dropped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hswarm.tasks.task import Example

Array = NDArray[np.float64]


def question_order(examples: Sequence[Example], rng: np.random.Generator) -> list[int]:
    """Positions of `examples` in one random order in which tasks and domains take turns."""
    groups: dict[tuple[str, str], list[int]] = {}
    for i in rng.permutation(len(examples)).tolist():
        groups.setdefault((examples[i].task, examples[i].domain), []).append(i)
    turns = [(turn / len(group), k, i) for k, group in enumerate(groups.values()) for turn, i in enumerate(group)]
    return [i for *_, i in sorted(turns)]


def rungs(first: int, questions: int) -> list[int]:
    """How many questions a candidate is asked in all after each round: `first`, twice as many ..., then all."""
    counts = []
    while first < questions:
        counts.append(first)
        first *= 2
    return [*counts, questions]


def widened(far: int, questions: int, spent: float) -> int:
    """Up to how many of `questions` races go when the part `spent` of the budget is gone: `far`, or doubled so often
    that it keeps up with (spent / 0.8)^2 of all. Few questions let a search look at many systems; many tell the best.
    """
    while far < min(1.0, spent / 0.8) ** 2 * questions:
        far *= 2
    return min(far, questions)


def promise(scores: Array, leader: Array) -> float:
    """The paired difference to the leader on the questions of `scores` plus one standard error.

    The error is at least one question's worth: 4 equal answers do not show that two systems are equal. -inf if every
    call failed.
    """
    gaps = scores - leader[: len(scores)]
    gaps = gaps[np.isfinite(gaps)]
    if not len(gaps):
        return -np.inf
    error = gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
    return float(gaps.mean() + max(error, 1 / len(gaps)))


def survivors(scores: Sequence[Array], leader: Array, keep: float = 0.5) -> list[int]:
    """Positions of the candidates that go on: those with `promise` above zero, of them the better part, at least one.

    The best first; of equals the one that was given first.
    """
    hopes = [promise(row, leader) for row in scores]
    going = [i for i, hope in enumerate(hopes) if hope > 0]
    going.sort(key=lambda i: (-round(float(np.nanmean(scores[i])), 9), i))
    return going[: int(np.ceil(keep * len(scores)))]
