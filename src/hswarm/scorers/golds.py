"""Golds that their own scorer cannot read."""

from __future__ import annotations

from hswarm.scorers import get_scorer
from hswarm.scorers.base import scorer
from hswarm.scorers.code import runs
from hswarm.tasks.task import Example, Task


def unreadable_golds(task: Task) -> list[Example]:
    """Questions of `task` that no reply answers rightly, such as a solution of several lines under `exact`."""
    if task.parts:
        return [example for part in task.parts for example in unreadable_golds(part)]
    examples = (*task.dev, *task.test)
    if task.scorer == "code":
        return [example for example in examples if not (runs(example.answer) or "def check(" in example.answer)]
    if not (states := scorer.about(task.scorer).states):
        return []
    scores = get_scorer(task.scorer)(examples, [states.format(example.answer) for example in examples])
    return [example for example, score in zip(examples, scores, strict=True) if score.value < 1]
