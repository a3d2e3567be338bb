"""A task: questions with known answers, in a dev split for the search and a test split used once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from hswarm.registry import Part, Room, identifier

task = Room("tasks", "hswarm.tasks", "task", Part)
Options = dict[str, object]  # what a recipe gives a scorer or generator, which checks it itself


class Meta(TypedDict, total=False):
    """What only some questions have: all accepted `answers`, the `pattern` that marks an answer in a reply, and the
    `dataset` and `entry` of reasoning-gym that its verifier wants."""

    answers: tuple[str, ...]
    pattern: str
    dataset: str
    entry: Mapping[str, object]


@dataclass(frozen=True)
class Example:
    """One question. `choices` maps letters to texts; `context` is one chunk a node; `meta` is for scorers.

    `task`, `instruction`, `icl` (worked examples, before everything else) and `max_new_tokens` are those of the task
    that it belongs to, so that questions of several tasks can stand side by side; "" and None leave them to the run.
    """

    id: str
    question: str
    answer: str
    choices: Mapping[str, str] = field(default_factory=dict)
    context: tuple[str, ...] = ()
    domain: str = ""
    meta: Meta = field(default_factory=Meta)
    task: str = ""
    instruction: str = ""
    icl: str = ""
    max_new_tokens: int | None = None


def with_choices(question: str, choices: Mapping[str, str]) -> str:
    """`question`, and below it its choices, a line each."""
    return "\n".join([question, *(f"{letter}: {text}" for letter, text in choices.items())])


@dataclass(frozen=True)
class Task:
    """A named pair of splits with the scorer and answer length that go with it.

    `scorer_options` are the scorer's keyword arguments; `reference` names the authors' loose counterpart of the scorer.
    A task made of `parts` has their `weights` and may ask for the harmonic mean of their utilities.
    """

    name: str
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    scorer: str
    max_new_tokens: int = 50
    source: str = ""
    licence: str = ""
    instruction: str = ""
    scorer_options: Options = field(default_factory=dict)
    reference: str = "reference"
    parts: tuple[Task, ...] = ()
    weights: tuple[float, ...] = ()
    harmonic: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "scorer", identifier(self.scorer))
        object.__setattr__(self, "reference", identifier(self.reference))

    def utility(self, scores: NDArray[np.float64], examples: Sequence[Example]) -> float:
        """The mean of `scores`, one for each of `examples`, or the weighted mean over the parts. nan stays nan."""
        if not self.parts:
            return float(np.mean(scores))
        of = np.array([example.task for example in examples])
        there = [i for i, part in enumerate(self.parts) if np.any(of == part.name)]
        means = np.array([np.mean(scores[of == self.parts[i].name]) for i in there])
        weights = np.array([self.weights[i] for i in there])
        if not self.harmonic:
            return float(weights @ means / weights.sum())
        if np.any(means <= 0):
            return float(np.mean(means) * 0)  # one task without success leaves nothing; nan stays nan
        return float(weights.sum() / np.sum(weights / means))
