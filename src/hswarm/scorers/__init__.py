"""Scorers: one file each, one line in the table."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from hswarm.errors import TaskError
from hswarm.registry import lookup, near
from hswarm.scorers.base import Score, Scorer
from hswarm.tasks.task import Example, Task

TABLE = {
    "choice": "hswarm.scorers.choice:choice",
    "code": "hswarm.scorers.code:code",
    "exact": "hswarm.scorers.exact:exact",
    "reference": "hswarm.scorers.reference:reference",
    "reference-last5": "hswarm.scorers.reference:reference_last5",
    "regex": "hswarm.scorers.regex:regex",
    "reward": "hswarm.scorers.reward:reward",
    "token-f1": "hswarm.scorers.token_f1:token_f1",
    "verifier": "hswarm.scorers.verifier:verifier",
}


def get_scorer(name: str, options: Mapping[str, Any] | None = None) -> Scorer:
    """The scorer called `name`, or a callable by "module:function". `options` are its keyword arguments."""
    scorer: Scorer = lookup("scorers", TABLE, name)
    known = {
        key: parameter.default is inspect.Parameter.empty
        for key, parameter in inspect.signature(scorer).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    given = dict(options or {})
    if unknown := sorted(set(given) - set(known)):
        raise TaskError(f"scorer '{name}' has no option '{unknown[0]}'{near(unknown[0], known)}")
    if missing := sorted(key for key, needed in known.items() if needed and key not in given):
        raise TaskError(f"scorer '{name}' needs task.scorer_options.{missing[0]}")
    return partial(scorer, **given) if given else scorer


def task_scorer(task: Task, name: str = "") -> Scorer:
    """The scorer of `task`, or the one called `name`; "reference" is the task's own loose one.

    A task made of parts scores each example by its part's scorer.
    """
    if task.parts:
        return _by_part({part.name: task_scorer(part, name) for part in task.parts})
    if name in ("", task.scorer):
        return get_scorer(task.scorer, task.scorer_options)
    return get_scorer(task.reference if name == "reference" else name)


def _by_part(scorers: Mapping[str, Scorer]) -> Scorer:
    def score(examples: Sequence[Example], responses: Sequence[str]) -> list[Score]:
        found: dict[int, Score] = {}
        for name, scorer in scorers.items():
            places = [i for i, example in enumerate(examples) if example.task == name]
            scores = scorer([examples[i] for i in places], [responses[i] for i in places]) if places else []
            found.update(zip(places, scores, strict=True))
        return [found[i] for i in range(len(examples))]

    return score
