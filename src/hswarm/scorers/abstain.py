"""Reliability (AbstainQA, arXiv 2402.00367): the system answers, then says whether its answer is right.

An answer that it stands by counts 1 if right and -1 if wrong; one that it takes back counts 0, so the mean over
questions is (right - wrong) / all, in [-1, 1]. Both passes go through one and the same topology.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from hswarm.scorers.base import Respond, Score, accepted, scorer
from hswarm.scorers.choice import stated_letter
from hswarm.scorers.equality import same
from hswarm.scorers.exact import stated_answer
from hswarm.tasks.task import Example, with_choices

_VERDICT = re.compile(r"\b(?:(true|yes|right|correct)|(false|no|wrong|incorrect))\b", re.IGNORECASE)
_VERDICT_TOKENS = 10


@scorer(
    "abstain",
    "1 right, -1 wrong, 0 for an answer that the system takes back when asked again",
    paper="AbstainQA (arXiv 2402.00367)",
    passes=1,
)
def abstain(examples: Sequence[Example], responses: Sequence[str], respond: Respond) -> list[Score]:
    """1 right, -1 wrong, 0 taken back. No readable answer or verdict: 0, counted as unparsed."""
    stated = [_stated(example, response) for example, response in zip(examples, responses, strict=True)]
    verdicts = respond({i: _doubt(examples[i], answer) for i, answer in enumerate(stated) if answer is not None})
    return [
        _score(example, answer, verdicts.get(i, ""))
        for i, (example, answer) in enumerate(zip(examples, stated, strict=True))
    ]


def stands(reply: str) -> bool | None:
    """Whether `reply` says true or false, in any case; the last word of either kind counts, None if there is none."""
    found = list(_VERDICT.finditer(reply))
    return found[-1][1] is not None if found else None


def _score(example: Example, answer: str | None, verdict: str | None) -> Score:
    if verdict is None:
        return Score(float("nan"), False, answer or "")
    if answer is None or (stand := stands(verdict)) is None:
        return Score(0.0, False, answer or "")
    if not stand:
        return Score(0.0, True, f"{answer} (taken back)")
    right = answer == example.answer if example.choices else any(same(answer, gold) for gold in accepted(example))
    return Score(1.0 if right else -1.0, True, answer)


def _stated(example: Example, response: str) -> str | None:
    return stated_letter(response, example) if example.choices else stated_answer(response, example.answer)


def _doubt(example: Example, answer: str) -> Example:
    """The second question: the first one with the answer that was given."""
    shown = f"{answer}: {example.choices[answer]}" if example.choices else answer
    asked = f"Proposed answer: {shown}\nIs the proposed answer true or false? Reply with one word."
    return replace(
        example,
        question=f"{with_choices(example.question, example.choices)}\n{asked}",
        choices={},
        icl="",
        instruction="Judge the proposed answer.",
        max_new_tokens=_VERDICT_TOKENS,
    )
