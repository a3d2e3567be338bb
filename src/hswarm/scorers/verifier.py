"""reasoning-gym's own verifier of the data set that a question came from, for answers that have several right forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from hswarm.errors import TaskError
from hswarm.scorers.base import Score, scorer
from hswarm.scorers.exact import stated_answer
from hswarm.tasks.reasoning_gym import import_gym
from hswarm.tasks.task import Example


@scorer(
    "verifier",
    "reasoning-gym's own verifiers, for questions of task reasoning_gym",
    paper="https://github.com/open-thought/reasoning-gym",
    extras=("train",),
)
def verifier(examples: Sequence[Example], responses: Sequence[str]) -> list[Score]:
    """The verifier's reward in [0, 1] for what each response states."""
    scores = []
    for example, response in zip(examples, responses, strict=True):
        if "dataset" not in example.meta:
            raise TaskError(f"scorer 'verifier' needs questions of reasoning-gym, got '{example.id}'; use 'exact'")
        stated = stated_answer(response, example.answer)
        value = _dataset(example.meta["dataset"]).score_answer(stated, example.meta["entry"]) if stated else 0.0
        scores.append(Score(float(value), stated is not None, stated or ""))
    return scores


class _Verifier(Protocol):
    def score_answer(self, answer: str, entry: Mapping[str, object]) -> float: ...


@lru_cache
def _dataset(name: str) -> _Verifier:
    found: _Verifier = import_gym().create_dataset(name, size=1, seed=0)
    return found
