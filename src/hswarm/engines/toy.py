"""An engine without weights whose best system is known: for testing a search, never for reporting results.

A question (tasks/toy.py) lists steps in a planted order, each with a difficulty. An expert is a vector; its skill in a
step is 1 less its distance from a planted target there. It reads the longest partial answer in previous responses, adds
the next step if its skill reaches the difficulty. At the start expert i is right on step i alone, so utility 1.0 is
reached by the one path through the experts in the planted order; weights near the target make any long path do.

A fusion has the weighted mean of its parts' skills, and a prompt's perplexity under an expert is exp(1 - its mean
skill in the steps asked for). Sampling adds noise of size `temperature` to a skill. Asked to design a system (a prompt
without steps that names experts), an expert of mean skill above a half writes the planted path, another no design.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hswarm.engines.base import Completion, EngineSettings, Request, engine
from hswarm.errors import PoolError
from hswarm.experts.adapter import Adapter
from hswarm.experts.expert import Expert
from hswarm.experts.fusion import Callee, Fusion
from hswarm.experts.pool import ExpertPool
from hswarm.tasks.toy import planted_order

_QUESTION = re.compile(r"steps ([\d ]+); difficulty ([\d. ]+)")
_NAME = re.compile(r"step-(\d+)")
_PLANTED = 1995
_WORK = re.compile(r"done((?: \d+)+)")


@engine("toy", "Planted skills and no model, for trying things out")
class ToyEngine:
    """Answers toy questions in microseconds, the same on every machine."""

    def __init__(self, settings: EngineSettings, base: str = "") -> None:
        self._batch = settings.usual_batch()

    @staticmethod
    def own_pool(experts: int) -> ExpertPool:
        """The pool of a recipe that names none."""
        return toy_pool(experts)

    @property
    def fingerprint(self) -> str:
        return "toy/2"

    def check(self, experts: Sequence[Expert]) -> None:
        """Accept every vector."""

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        return [list(range(i, min(i + self._batch, len(requests)))) for i in range(0, len(requests), self._batch)]

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        return [_answer(request) for request in requests]


def _answer(request: Request) -> Completion:
    found = _QUESTION.search(request.prompt)
    if found is None:
        return _design(request)
    steps = [int(word) for word in found[1].split()]
    difficulty = [float(word) for word in found[2].split()]
    done = max((_progress(work[1], steps) for work in _WORK.finditer(request.prompt)), default=0)
    skill = _skill(request.expert, steps) + request.sampling.temperature * _noise(request)
    if done < len(steps) and steps[done] < len(skill) and skill[steps[done]] >= difficulty[done]:
        done += 1
    text = " ".join(["done", *map(str, steps[:done])]) if done else "nothing done"
    calls = request.expert.calls
    return Completion(text, "stop", calls * len(request.prompt.split()), calls * len(text.split()))


def _design(request: Request) -> Completion:
    names = sorted(set(_NAME.findall(request.prompt)), key=int)
    if not names:
        return Completion("", "failed", 0, 0)
    order = [step for step in planted_order(len(names)) if str(step) in names]
    able = _skill(request.expert, []).mean() > 0.5
    lines = [f"step-{u} -> step-{v}" for u, v in pairwise(order)]
    text = "\n".join(lines) if able else "Let them all talk."
    return Completion(text, "stop", len(request.prompt.split()), len(text.split()))


def _skill(expert: Callee, steps: Sequence[int]) -> NDArray[np.float64]:
    """Skill in every step; `steps` are those that the prompt asks for, by which a fusion may weight its parts."""
    if isinstance(expert, Adapter):
        return np.asarray(1 - np.abs(expert.vector - planted_weights(len(expert.vector))), dtype=np.float64)
    if not isinstance(expert, Fusion):
        raise PoolError(f"expert '{expert.name}' is no vector, and the toy engine reads nothing else")
    skills = [_skill(part, steps) for part in expert.parts]
    perplexities = [math.exp(1 - np.mean([skill[step] for step in steps])) for skill in skills]
    return np.asarray(np.average(skills, axis=0, weights=expert.shares(perplexities)))


def _noise(request: Request) -> float:
    if not request.sampling.temperature:
        return 0.0
    text = "\0".join([request.expert.digest, request.sampling.text(), request.prompt])
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    return float(np.random.default_rng(seed).normal())


def _progress(work: str, steps: list[int]) -> int:
    words = [int(word) for word in work.split()]
    return len(words) if words == steps[: len(words)] else 0


@lru_cache
def planted_weights(steps: int) -> NDArray[np.float32]:
    """The weights, shape (steps,), that are right on every step."""
    return np.random.default_rng([_PLANTED, steps]).uniform(-1, 1, steps).astype(np.float32)


def toy_pool(experts: int = 4) -> ExpertPool:
    """`experts` vectors, each right on its own step and off by 0.9, on either side, on the others."""
    rng = np.random.default_rng([_PLANTED, experts, 1])
    vectors = planted_weights(experts) + 0.9 * rng.choice([-1, 1], (experts, experts))
    np.fill_diagonal(vectors, planted_weights(experts))
    return ExpertPool(tuple(Adapter.from_vector(f"step-{i}", vectors[i], None) for i in range(experts)), base="toy")
