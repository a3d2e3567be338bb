"""Golds that their own scorer cannot read: given as a reply, they score below 1."""

from __future__ import annotations

from hswarm.scorers import get_scorer
from hswarm.tasks.task import Example, Task

_RULES = ("choice", "exact", "token-f1")  # the others ask a model, run code, or compare what only a reply can hold


def unreadable_golds(task: Task) -> list[Example]:
    """Questions of `task` that no reply answers rightly, such as a solution of several lines under `exact`."""
    if task.parts:
        return [example for part in task.parts for example in unreadable_golds(part)]
    if task.scorer not in _RULES:
        return []
    examples = (*task.dev, *task.test)
    said = "The answer is {}." if task.scorer == "choice" else "{}"
    scores = get_scorer(task.scorer)(examples, [said.format(example.answer) for example in examples])
    return [example for example, score in zip(examples, scores, strict=True) if score.value < 1]
