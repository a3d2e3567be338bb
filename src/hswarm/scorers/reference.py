"""The loose parsing of the authors' code, so that its numbers can be reproduced. Not for reporting results.

Its known faults are its point (docs/fidelity.md): any option letter among the first five characters counts, and a gold
answer counts wherever it occurs as a substring.
"""

from __future__ import annotations

from collections.abc import Sequence

from hswarm.scorers.base import Score, scorer
from hswarm.tasks.task import Example


@scorer(
    "reference",
    "The loose parsing of the authors' code, not for claims",
    paper="https://github.com/BunsenFeng/heterogeneous_swarm",
    reads="all",
)
def reference(examples: Sequence[Example], responses: Sequence[str]) -> list[Score]:
    """Choices: a letter in the first five characters, else an option's text; others: gold anywhere, case-sensitive."""
    return [
        _choice(example, response) if example.choices else _inside(example.answer, response)
        for example, response in zip(examples, responses, strict=True)
    ]


@scorer(
    "reference_last5",
    "The authors' parsing of gsm8k: gold within the last five words",
    paper="https://github.com/BunsenFeng/heterogeneous_swarm",
    reads="all",
)
def reference_last5(examples: Sequence[Example], responses: Sequence[str]) -> list[Score]:
    """Gold within the last five words, as the authors score gsm8k."""
    return [_inside(e.answer, " ".join(r.split()[-5:])) for e, r in zip(examples, responses, strict=True)]


def _choice(example: Example, response: str) -> Score:
    head = response[:5]
    found = next((letter for letter in example.choices if letter in head), None)
    if found is None:
        found = next((letter for letter, text in example.choices.items() if text in response), None)
    return Score(float(found == example.answer), found is not None, found or "")


def _inside(gold: str, text: str) -> Score:
    return Score(float(gold in text), True, text)
