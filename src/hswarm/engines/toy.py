"""An engine without weights whose best system is known: for testing a search, never for claiming results.

A question (tasks/toy.py) lists steps in a planted order, each with a difficulty. An expert is a vector; its skill in a
step is 1 less its distance from a planted target there. It reads the longest work that previous responses hold and adds
the next step if its skill reaches the difficulty. At the start expert i is right on step i alone, so utility 1.0 is
reached by the one path through the experts in the planted order; weights near the target make any long path do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hswarm.engines.base import Completion, EngineSettings, Request
from hswarm.experts.adapter import Expert
from hswarm.experts.pool import ExpertPool

_QUESTION = re.compile(r"steps ([\d ]+); difficulty ([\d. ]+)")
_PLANTED = 1995
_WORK = re.compile(r"done((?: \d+)+)")


class ToyEngine:
    """Answers toy questions in microseconds, the same on every machine."""

    def __init__(self, settings: EngineSettings, base: str = "") -> None:
        self._batch = settings.batch

    @property
    def fingerprint(self) -> str:
        return "toy/2"

    def check(self, experts: Sequence[Expert]) -> None:
        """Every vector fits."""

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        return [list(range(i, min(i + self._batch, len(requests)))) for i in range(0, len(requests), self._batch)]

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        return [_answer(request) for request in requests]


def _answer(request: Request) -> Completion:
    found = _QUESTION.search(request.prompt)
    if found is None:
        return Completion("", "failed", 0, 0)
    steps = [int(word) for word in found[1].split()]
    difficulty = [float(word) for word in found[2].split()]
    done = max((_progress(work[1], steps) for work in _WORK.finditer(request.prompt)), default=0)
    skill = 1 - np.abs(request.expert.vector - planted_weights(len(request.expert.vector)))
    if done < len(steps) and steps[done] < len(skill) and skill[steps[done]] >= difficulty[done]:
        done += 1
    text = " ".join(["done", *map(str, steps[:done])]) if done else "nothing done"
    return Completion(text, "stop", len(request.prompt.split()), len(text.split()))


def _progress(work: str, steps: list[int]) -> int:
    words = [int(word) for word in work.split()]
    return len(words) if words == steps[: len(words)] else 0


@lru_cache
def planted_weights(steps: int) -> NDArray[np.float32]:
    """The weights, shape (steps,), that are right on every step."""
    return np.random.default_rng([_PLANTED, steps]).uniform(-1, 1, steps).astype(np.float32)


def toy_pool(experts: int = 4) -> ExpertPool:
    """`experts` vectors, each right on its own step and 0.9 off, to either side, on the others."""
    rng = np.random.default_rng([_PLANTED, experts, 1])
    vectors = planted_weights(experts) + 0.9 * rng.choice([-1, 1], (experts, experts))
    np.fill_diagonal(vectors, planted_weights(experts))
    return ExpertPool(tuple(Expert.of(f"step-{i}", vectors[i], None) for i in range(experts)), base="toy")
