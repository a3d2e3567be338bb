"""Scorers: one file each, one line in the table."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

from hswarm.errors import TaskError
from hswarm.prompts import spoken, without_reasoning
from hswarm.registry import lookup, near
from hswarm.scorers.base import Further, Nobody, Respond, Score, Scorer
from hswarm.tasks.task import Example, Options, Task

TABLE = {
    "abstain": "hswarm.scorers.abstain:abstain",
    "choice": "hswarm.scorers.choice:choice",
    "code": "hswarm.scorers.code:code",
    "exact": "hswarm.scorers.exact:exact",
    "judge": "hswarm.scorers.judge:judge",
    "reference": "hswarm.scorers.reference:reference",
    "reference-last5": "hswarm.scorers.reference:reference_last5",
    "regex": "hswarm.scorers.regex:regex",
    "reward": "hswarm.scorers.reward:reward",
    "token-f1": "hswarm.scorers.token_f1:token_f1",
    "verifier": "hswarm.scorers.verifier:verifier",
}

_NOBODY = Nobody()


def get_scorer(name: str, options: Options | None = None) -> Scorer:
    """The scorer called `name`, or a callable by "module:function". `options` are its keyword arguments."""
    found = lookup("scorers", TABLE, name)
    parameters = inspect.signature(found).parameters.values()
    known = {
        parameter.name: parameter.default is inspect.Parameter.empty
        for parameter in parameters
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    given = dict(options or {})
    if unknown := sorted(set(given) - set(known)):
        raise TaskError(f"scorer '{name}' has no option '{unknown[0]}'{near(unknown[0], known)}")
    if missing := sorted(key for key, needed in known.items() if needed and key not in given):
        raise TaskError(f"scorer '{name}' needs task.scorer_options.{missing[0]}")
    if check := getattr(found, "check", None):
        check(**given)
    asks = sum(parameter.kind is not inspect.Parameter.KEYWORD_ONLY for parameter in parameters) > 2

    def score(examples: Sequence[Example], responses: Sequence[str], respond: Respond = _NOBODY) -> list[Score]:
        if name == "code":  # a program may hold a line "Question:"
            responses = [without_reasoning(response) for response in responses]
        elif not name.startswith("reference"):  # the authors' code scores reasoning as well
            responses = [spoken(*pair) for pair in zip(responses, (e.question for e in examples), strict=True)]
        scores: list[Score] = found(examples, responses, *[respond] * asks, **given)
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
    further = Further(*getattr(lookup("scorers", TABLE, task.scorer), "further", (0, 0)))
    return calls + further.passes * calls + further.calls
