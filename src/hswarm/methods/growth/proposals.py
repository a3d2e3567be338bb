"""Which terms a generation looks around, and which of their neighbours it tries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hswarm.methods.growth.model import Model
from hswarm.methods.growth.moves import Move
from hswarm.methods.growth.terms import Term

Array = NDArray[np.float64]


def best_terms(
    scores: Mapping[Term, Array], model: Model | None, count: int, weight: float = 8.0, enough: int = 0
) -> list[Term]:
    """The `count` best terms by their mean, drawn towards what the model expects as if by `weight` questions.

    Only terms that were asked `enough` questions stand for election, or fewer where not `count` terms were: of many
    that a race dropped after four questions some were lucky in all four. Of equals the smaller. Without a model the
    mean is drawn towards zero.
    """
    asked = {term: int(np.isfinite(row).sum()) for term, row in scores.items()}
    enough = min([enough, *sorted(asked.values(), reverse=True)[:count]])
    known = [term for term, questions in asked.items() if questions >= max(1, enough)]
    sums = np.array([np.nansum(scores[term]) for term in known])
    counts = np.array([asked[term] for term in known])
    expected = model.predict(known) if model else np.zeros(len(known))
    shrunk = np.round((sums + weight * expected) / (counts + weight), 9)
    order = sorted(range(len(known)), key=lambda i: (-shrunk[i], known[i].size, i))
    return [known[i] for i in order[:count]]


def promising(
    moves: Sequence[Move],
    model: Model | None,
    count: int,
    rng: np.random.Generator,
    price: Callable[[Term], float],
) -> list[Move]:
    """At most `count` of `moves`: for each place new weights are drawn from the model, and the best move under them is
    taken that is not taken yet, less its price. Without a model moves are drawn at random."""
    if len(moves) <= count:
        return list(moves)
    if model is None:
        return [moves[i] for i in sorted(rng.choice(len(moves), count, replace=False).tolist())]
    terms = [move.term for move in moves]
    values = model.sample(terms, count, rng) - np.array([price(term) for term in terms])[:, None]
    taken: list[int] = []
    for column in np.round(values, 9).T:
        column[taken] = -np.inf
        taken.append(int(np.argmax(column)))
    return [moves[i] for i in taken]
