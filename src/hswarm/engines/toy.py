"""An engine without weights whose best system is known: for testing a search, never for claiming results.

A question (tasks/toy.py) lists steps in a planted order, each with a difficulty. An expert is a vector: its skill in
every step. It reads the longest work that previous responses hold and adds the next step if its skill reaches the
difficulty. Utility 1.0 is reached by a path through the experts in the planted order, and by strong enough weights.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from hswarm.engines.base import Completion, EngineSettings, Request
from hswarm.experts.adapter import Expert
from hswarm.experts.pool import ExpertPool

_QUESTION = re.compile(r"steps ([\d ]+); difficulty ([\d. ]+)")
_WORK = re.compile(r"done((?: \d+)+)")


class ToyEngine:
    """Answers toy questions in microseconds, the same on every machine."""

    def __init__(self, settings: EngineSettings, base: str = "") -> None:
        self._batch = settings.batch

    @property
    def fingerprint(self) -> str:
        return "toy/1"

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
    skill = request.expert.vector
    if done < len(steps) and steps[done] < len(skill) and skill[steps[done]] >= difficulty[done]:
        done += 1
    text = " ".join(["done", *map(str, steps[:done])]) if done else "nothing done"
    return Completion(text, "stop", len(request.prompt.split()), len(text.split()))


def _progress(work: str, steps: list[int]) -> int:
    words = [int(word) for word in work.split()]
    return len(words) if words == steps[: len(words)] else 0


def toy_pool(experts: int = 5) -> ExpertPool:
    """`experts` vectors: expert i is good at step i (0.9) and knows a little (0.1) of the others."""
    skills = np.full((experts, experts), 0.1, dtype=np.float32)
    np.fill_diagonal(skills, 0.9)
    return ExpertPool(tuple(Expert.of(f"step-{i}", skills[i], None) for i in range(experts)), base="toy")
