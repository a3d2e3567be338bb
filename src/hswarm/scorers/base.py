"""What a scorer is: examples and responses in, one score each out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from hswarm.tasks.task import Example


class Score(NamedTuple):
    """`value` of one response; `parsed` false where no answer could be found in it (then value is 0)."""

    value: float
    parsed: bool
    extracted: str


class Scorer(Protocol):
    """Scores responses to examples, in order. Keyword-only arguments of a scorer are its options."""

    def __call__(self, examples: Sequence[Example], responses: Sequence[str]) -> list[Score]: ...


def accepted(example: Example) -> tuple[str, ...]:
    """Every answer that is right: a data file may list several."""
    answers: tuple[str, ...] = example.meta.get("answers", (example.answer,))
    return answers
