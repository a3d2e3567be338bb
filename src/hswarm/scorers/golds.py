"""Golds that their own scorer cannot read, and those that want an extra."""

from __future__ import annotations

from hswarm.scorers import get_scorer
from hswarm.scorers.base import scorer
from hswarm.scorers.code import runs
from hswarm.scorers.quantity import quantity
from hswarm.scorers.symbolic import installed, mathematical
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


def expressions_without_extra(task: Task) -> int:
    """How many golds of `exact` are expressions like "2\\pi", which are compared as text without the extra `math`."""
    if installed():
        return 0
    if task.parts:
        return sum(map(expressions_without_extra, task.parts))
    golds = [example.answer for example in (*task.dev, *task.test)] if task.scorer in ("exact", "regex") else []
    return sum(mathematical(gold) and quantity(gold) is None for gold in golds)
