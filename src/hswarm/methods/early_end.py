"""Early end of a system's evaluation: questions are put block by block, and only to systems that can still matter.

A swarm asks of a particle's utility only whether it beats its personal best or falls below the swarm's worst, and the
search whether a system is the best of its step. Once no remaining answer can change that, the rest is not asked, and
the particle is told nan, which a swarm takes as neither ("exact": the same search, bit for bit). "racing" replaces what
remaining answers could do at the utmost by what they will do with probability 1 - 2 * _RISK a look (Hoeffding's bound,
sharpened for draws without replacement: Serfling 1974), which is an approximation. The weight-step is evaluated
whole: its JFK-scores average all utilities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hswarm.errors import ConfigError
from hswarm.session.evaluator import Evaluation, Objective
from hswarm.system.system import System

Mode = Literal["exact", "racing"]
Array = NDArray[np.float64]
_BLOCKS = 8
_RISK = 0.025


def evaluate_needed(
    objective: Objective,
    systems: Sequence[System],
    personal: Array,
    worst: float,
    step: str,
    mode: Mode,
    order: Sequence[int],
) -> list[Evaluation]:
    """Evaluations of `systems`, one a particle; utility nan where the rest was not needed.

    `personal`, shape (systems,), are the particles' best utilities so far, `worst` is the swarm's worst; `order` is a
    permutation of dev. After a failed call everything is evaluated whole: its system may have been what others were
    compared with.
    """
    scores = np.full((len(systems), len(order)), np.nan)
    parts: list[list[Evaluation]] = [[] for _ in systems]
    if mode == "racing" and objective.task.parts:
        raise ConfigError(["search.early_end = 'racing' needs a task of one part; take 'exact'"])
    alive = list(range(len(systems)))
    blocks = [block.tolist() for block in np.array_split(np.array(order), min(_BLOCKS, len(order)))]
    if np.isinf(personal).any():  # nothing to compare with yet
        blocks = [list(order)]

    def ask(number: int, among: Sequence[int], word: str = "") -> bool:
        """Put a block to some systems; whether a call failed."""
        made = objective.evaluate([systems[i] for i in among], f"{step}:{number}{word}", blocks[number])
        for i, evaluation in zip(among, made, strict=True):
            parts[i].append(evaluation)
            scores[i, blocks[number]] = evaluation.scores
        return any(evaluation.failed for evaluation in made)

    failed, asked = False, 0
    for number, block in enumerate(blocks):
        failed |= ask(number, alive)
        asked += len(block)
        if not failed and asked < len(order):
            low, high = _bounds(scores[alive], asked, objective, mode)
            alive = [alive[k] for k in _needed(low, high, personal[alive], worst)]
    for number in range(len(blocks) if failed else 0):
        ask(number, [i for i in range(len(systems)) if len(parts[i]) == number], " again")
    left = len(order) * len(systems) - sum(len(part.scores) for found in parts for part in found)
    objective.skip(left * len(systems[0].experts))
    return [
        objective.whole(replace(_joined(found, row, step), combine=objective.combine))
        for found, row in zip(parts, scores, strict=True)
    ]


def _needed(low: Array, high: Array, personal: Array, worst: float) -> list[int]:
    """Those of the systems in question whose utility may still be of use."""
    top = int(np.argmax(low))  # the first of equals, as the search's own choice
    return [
        k
        for k in range(len(low))
        if k == top or high[k] > personal[k] or low[k] < worst or _may_lead(high[k], low[top], k < top)
    ]


def _may_lead(high: float, least: float, first: bool) -> bool:
    """Whether a system may end above one of at least `least`, or level with it and chosen for being the first."""
    return high > least or (first and high == least)


def _bounds(scores: Array, asked: int, objective: Objective, mode: Mode) -> tuple[Array, Array]:
    """Between what the utilities lie, shape (systems,): what scores come to with all open ones at their extremes."""
    limits = objective.score_range
    low, high = (
        np.array([objective.combine(row) for row in np.where(np.isnan(scores), limit, scores)]) for limit in limits
    )
    if mode == "exact":
        return low, high
    total = scores.shape[1]
    spread = (1 - (asked - 1) / total) * math.log(1 / _RISK) / (2 * asked)
    mean, reach = np.nanmean(scores, axis=1), (limits[1] - limits[0]) * math.sqrt(spread)
    return np.maximum(low, mean - reach), np.minimum(high, mean + reach)


def _joined(parts: Sequence[Evaluation], scores: Array, step: str) -> Evaluation:
    """One evaluation of all blocks; scores never asked for are nan, and so is the utility then."""
    counts = {
        name: sum(getattr(part, name) for part in parts)
        for name in ("unparsed", "empty", "cut", "failed", "calls", "tokens")
    }
    return replace(parts[0], scores=scores, step=step, **counts)
