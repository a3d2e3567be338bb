"""Majority vote over replies: equal answers in different words are one ballot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hswarm.engines.base import Completion
from hswarm.scorers.choice import stated_letter
from hswarm.scorers.exact import stated_answer
from hswarm.scorers.normal import normal, number
from hswarm.tasks.task import Example


def majority(example: Example, replies: Sequence[Completion]) -> Completion:
    """The first reply that gives the most frequent answer (ties: the answer given first). It costs no tokens.

    Replies without an answer do not vote, unless none has one; if any reply failed, so does the vote.
    """
    if any(reply.finish == "failed" for reply in replies):
        return Completion("", "failed", 0, 0)
    ballots = [ballot(example, reply.text) for reply in replies]
    counts = Counter(choice for choice in ballots if choice)
    chosen = counts.most_common(1)[0][0] if counts else ballots[0]
    reply = replies[ballots.index(chosen)]
    return Completion(reply.text, reply.finish, 0, 0)


def ballot(example: Example, text: str) -> str:
    """The answer in a reply, normalised so that equal answers compare equal: a letter, a number or plain words."""
    if example.choices:
        return stated_letter(text, example) or ""
    stated = stated_answer(text, "") or ""
    value = number(stated)
    return normal(stated) if value is None else str(value)
