"""Shapley values (1953) of the players of a game: what each adds, averaged over all orders in which they may join.

Knows numbers only. A coalition's value is a row, one number a question, so that values have intervals over questions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Coalition = frozenset[int]
_EXACT = 10  # players up to which all coalitions may be evaluated


class Shapley(NamedTuple):
    """`values` (players, questions) add up to v(all) - v(nobody).

    `error` (players,) is the standard error of their means that comes of drawing `orders` orders. Orders None: exact,
    no error; 0: nothing could be afforded, all nan.
    """

    values: Array
    error: Array
    orders: int | None


def shapley(
    players: int,
    value: Callable[[Sequence[Coalition]], Sequence[Array]],
    affordable: Callable[[Sequence[Coalition]], bool],
    rng: np.random.Generator,
    most: int = 100,
) -> Shapley:
    """Exact where all coalitions are `affordable`, else over at most `most` orders drawn with their reverses.

    `value` gives a row a coalition, all of one length; `affordable` is asked before each batch of new coalitions.
    """
    every = (
        [frozenset(chosen) for size in range(players + 1) for chosen in combinations(range(players), size)]
        if players <= _EXACT
        else []
    )
    if every and affordable(every):
        return _exact(players, dict(zip(every, value(every), strict=True)))
    known: dict[Coalition, Array] = {}
    gains: list[Array] = []  # one an order, (players, questions)
    while len(gains) < most:
        order = rng.permutation(players).tolist()
        for one in (order, order[::-1]):
            prefixes = [frozenset(one[:k]) for k in range(players + 1)]
            new = [coalition for coalition in prefixes if coalition not in known]
            if not affordable(new):
                return _mean(players, gains)
            known |= zip(new, value(new), strict=True)
            added = np.array([known[b] - known[a] for a, b in pairwise(prefixes)])
            gains.append(added[np.argsort(one)])
    return _mean(players, gains)


def _exact(players: int, values: dict[Coalition, Array]) -> Shapley:
    found = np.zeros((players, len(values[frozenset()])))
    for coalition, value in values.items():
        size = len(coalition)
        for player in range(players):  # the weight of joining is that of the orders in which it happens
            if player in coalition:
                found[player] += value / (players * math.comb(players - 1, size - 1))
            else:
                found[player] -= value / (players * math.comb(players - 1, size))
    return Shapley(found, np.zeros(players), None)


def _mean(players: int, gains: Sequence[Array]) -> Shapley:
    if not gains:
        return Shapley(np.full((players, 1), np.nan), np.full(players, np.nan), 0)
    means = np.array(gains).mean(axis=2)
    error = means.std(axis=0, ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else np.full(players, np.nan)
    return Shapley(np.mean(gains, axis=0), error, len(gains))
