"""A node that answers with a reply of its predecessors and asks only those it needs: cheap ones first, more if unsure.

Its router expects a score of each predecessor by the question's words. The node asks the one that promises most for its
calls. If the answers so far are not sure enough, and where answers differ none may be, it asks the next.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from hswarm.engines.base import Completion
from hswarm.scorers.ballots import ballots
from hswarm.system.rules import Rule
from hswarm.tasks.task import Example, with_choices

Array = NDArray[np.float64]
_LEAST = 3  # questions that a word must be in, and not be in
_RIGHT = 1e-6  # a sum of squared errors that counts as none


@dataclass(frozen=True)
class Router:
    """Linear in a question's words: `weights` has a row a predecessor, of a constant, of the logarithm of the number of
    words, and of each of `words` that the question holds.

    A call must be worth `price`. An answer whose predecessors' expected scores sum to `sure` is sure enough.
    """

    words: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    price: float = 0.0
    sure: float = 0.0

    @classmethod
    def fit(cls, examples: Sequence[Example], scores: Array, price: float = 0.0, sure: float = 0.0) -> Router:
        """Least squares of `scores`, shape (predecessors, examples), each on a few words: those that the extended BIC
        (Chen and Chen 2008) takes one by one."""
        counts = Counter(word for example in examples for word in set(_words(example)))
        words = [word for word, n in sorted(counts.items()) if _LEAST <= n <= len(examples) - _LEAST]
        x = np.array([_features(example, words) for example in examples])
        rows = [_forward(x, row) for row in scores]
        used = [j for j in range(len(words)) if any(row[j + 2] for row in rows)]
        kept = tuple(tuple(round(row[j], 6) for j in (0, 1, *(j + 2 for j in used))) for row in rows)
        return cls(tuple(words[j] for j in used), kept, price, sure)

    def expected(self, example: Example) -> Array:
        """The score of each predecessor's answer to a question, as the dev questions let expect."""
        expected: Array = np.array(self.weights) @ np.array(_features(example, self.words))
        return expected


def _words(example: Example) -> list[str]:
    return re.findall(r"\w+", with_choices(example.question, example.choices).lower())


def _features(example: Example, words: Sequence[str]) -> list[float]:
    said = _words(example)
    return [1.0, math.log1p(len(said)), *(float(word in said) for word in words)]


def _forward(x: Array, y: Array) -> list[float]:
    """Weights of the columns of x, shape (n, columns), whose first is constant: 0 but for those chosen."""
    chosen, n = [0], len(y)
    weights, error = np.array([y.mean()]), float(((y - y.mean()) ** 2).sum())
    while error > _RIGHT and len(chosen) < n // _LEAST:
        tried = [(*_least_squares(x[:, [*chosen, j]], y), j) for j in range(x.shape[1]) if j not in chosen]
        if not tried:
            break
        less, found, j = min(tried, key=lambda one: one[0])
        if n * math.log(error / max(less, _RIGHT)) <= math.log(n) + 2 * math.log(x.shape[1]):
            break
        weights, error, chosen = found, less, [*chosen, j]
    whole = np.zeros(x.shape[1])
    whole[chosen] = weights
    return [float(weight) for weight in whole]


def _least_squares(x: Array, y: Array) -> tuple[float, Array]:
    """The sum of squared errors and the weights; all but the first are drawn to 0 a little, as by one question."""
    penalty = np.diag([0.0, *[1.0] * (x.shape[1] - 1)])
    weights = np.linalg.solve(x.T @ x + penalty, x.T @ y)
    return float(((y - x @ weights) ** 2).sum()), np.asarray(weights, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Route(Rule):
    """Stands at the sink alone. Make it with `Route.by`."""

    router: Router

    @classmethod
    def by(cls, router: Router, name: str = "route") -> Route:
        content = json.dumps(["route", asdict(router)])
        return cls(name, hashlib.sha256(content.encode()).hexdigest(), router)

    def next(self, example: Example, heard: Sequence[Completion | None], calls: Sequence[int]) -> int | None:
        """The place of the predecessor to ask now, None if the replies so far suffice; `calls` new ones each takes."""
        expected = self.router.expected(example)
        waiting = [i for i, reply in enumerate(heard) if reply is None]
        known = [reply for reply in heard if reply is not None]
        if not waiting or any(reply.finish == "failed" for reply in known):
            return None
        if known and max(self._support(example, heard, expected)) >= self.router.sure:
            return None
        return max(waiting, key=lambda i: (expected[i] - self.router.price * calls[i], -calls[i]))

    def reply(self, example: Example, heard: Sequence[Completion | None]) -> Completion:
        known = [reply for reply in heard if reply is not None]
        if any(reply.finish == "failed" for reply in known):
            return Completion("", "failed", 0, 0)
        support = self._support(example, heard, self.router.expected(example))
        chosen = known[int(np.argmax(support))]
        return Completion(chosen.text, chosen.finish, 0, 0)

    def _support(self, example: Example, heard: Sequence[Completion | None], expected: Array) -> list[float]:
        """For each reply that is there, the expected scores of all that give its answer; -1 where it gives none."""
        there = [(max(0.0, float(expected[i])), reply) for i, reply in enumerate(heard) if reply is not None]
        answers = ballots(example, [reply.text for _, reply in there])
        total: dict[str, float] = {}
        for answer, (score, _) in zip(answers, there, strict=True):
            total[answer] = total.get(answer, 0.0) + score
        return [total[answer] if answer else -1.0 for answer in answers]

    def entry(self, saved: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
        return {"expert": self.name, "route": asdict(self.router)}
