"""Scorers: one file each, declared by `@scorer` where they are defined."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

from hswarm.options import configured
from hswarm.prompts import spoken, without_reasoning
from hswarm.scorers.base import Nobody, Respond, Score, Scorer
from hswarm.scorers.base import scorer as room
from hswarm.tasks.task import Example, Options, Task

_NOBODY = Nobody()


def get_scorer(name: str, options: Options | None = None) -> Scorer:
    """The scorer called `name`, or a callable by "module:attribute", with its `options` set.

    ConfigError for unknown names and for options that do not fit.
    """
    found = configured(room.get(name), options or {}, "task.scorer_options")
    reads = room.about(name).reads
    parameters = inspect.signature(found).parameters.values()
    asks = sum(parameter.kind is not inspect.Parameter.KEYWORD_ONLY for parameter in parameters) > 2

    def score(examples: Sequence[Example], responses: Sequence[str], respond: Respond = _NOBODY) -> list[Score]:
        if reads == "without reasoning":
            responses = [without_reasoning(response) for response in responses]
        elif reads == "answer":
            responses = [spoken(*pair) for pair in zip(responses, (e.question for e in examples), strict=True)]
        scores: list[Score] = found(examples, responses, *[respond] * asks)
        return scores

    return score


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
    def score(examples: Sequence[Example], responses: Sequence[str], respond: Respond = _NOBODY) -> list[Score]:
        found: dict[int, Score] = {}
        for name, scorer in scorers.items():
            places = [i for i, example in enumerate(examples) if example.task == name]
            if places:
                of_part = [examples[i] for i in places], [responses[i] for i in places]
                found.update(zip(places, scorer(*of_part, _Part(respond, places)), strict=True))
        return [found[i] for i in range(len(examples))]

    return score


class _Part:
    """The Respond of a part, whose responses stand at `places` among all."""

    def __init__(self, respond: Respond, places: Sequence[int]) -> None:
        self._respond, self._places, self.ask = respond, places, respond.ask

    def __call__(self, questions: Mapping[int, Example]) -> dict[int, str | None]:
        answers = self._respond({self._places[i]: question for i, question in questions.items()})
        return {i: answers[self._places[i]] for i in questions}


def scored_calls(task: Task, calls: int) -> int:
    """Model calls that a response takes at most: its own `calls`, and the follow-up calls of the scorers of `task`."""
    if task.parts:
        return max(scored_calls(part, calls) for part in task.parts)
    part = room.about(task.scorer)
    return calls + part.passes * calls + part.calls
