"""What a scorer is: examples and responses in, one score each out; it may ask the systems follow-up questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from hswarm.errors import TaskError
from hswarm.experts.expert import Expert
from hswarm.registry import Part, Room
from hswarm.tasks.task import Example

SOLVED = 0.5  # the score from which a question counts as solved


class Score(NamedTuple):
    """`value` of one response; `parsed` false where no answer could be found in it (then value is 0).

    A value of nan says that the response could not be scored because a further call failed; it is counted as failed.
    """

    value: float
    parsed: bool
    extracted: str


@dataclass(frozen=True)
class ScorerPart(Part):
    """What `@scorer` declares in addition.

    `reads`: the "answer" (the response without reasoning and invented questions), the response "without reasoning", or
    "all" of it. For one response a scorer asks at most `passes` further passes through the system that gave it, and
    `calls` calls of a judge. `states` is a reply that gives the answer {} rightly, where every gold can be put so.
    """

    reads: Literal["answer", "without reasoning", "all"] = "answer"
    passes: int = 0
    calls: int = 0
    states: str = ""


scorer = Room("scorers", "hswarm.scorers", "scorer", ScorerPart)


class Respond(Protocol):
    """How a scorer asks follow-up questions; None stands for a failed call."""

    def __call__(self, questions: Mapping[int, Example]) -> dict[int, str | None]:
        """Replies to follow-up questions, each put to the system that gave the response of that index."""

    def ask(self, model: Expert | None, prompts: Sequence[str], max_new_tokens: int) -> list[str | None]:
        """What `model` (None: the base model of the run) replies to `prompts`, greedily."""


class Nobody:
    """For scorers that ask no follow-up questions."""

    def __call__(self, questions: Mapping[int, Example]) -> dict[int, str | None]:
        raise TaskError(
            "this scorer asks the system a follow-up question, which works only while a system is being scored"
        )

    def ask(self, model: Expert | None, prompts: Sequence[str], max_new_tokens: int) -> list[str | None]:
        raise TaskError("this scorer asks a judge, which works only while a system is being scored")


class Scorer(Protocol):
    """Scores responses to examples, in order. Keyword-only arguments of a scorer are its options.

    A scorer without follow-up questions may leave out `respond`.
    """

    def __call__(
        self, examples: Sequence[Example], responses: Sequence[str], respond: Respond = ...
    ) -> list[Score]: ...


def accepted(example: Example) -> tuple[str, ...]:
    """All accepted answers: a data file may list several."""
    answers: tuple[str, ...] = example.meta.get("answers", (example.answer,))
    return answers
