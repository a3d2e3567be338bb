"""Majority vote over replies: equal answers in different words are one ballot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hswarm.engines.base import Completion
from hswarm.scorers.ballots import ballots
from hswarm.tasks.task import Example


def majority(example: Example, replies: Sequence[Completion]) -> Completion:
    """The first reply that gives the most frequent answer (ties: the answer given first). It costs no tokens.

    Replies without an answer do not vote, unless none has one; if any reply failed, so does the vote.
    """
    if any(reply.finish == "failed" for reply in replies):
        return Completion("", "failed", 0, 0)
    answers = ballots(example, [reply.text for reply in replies])
    counts = Counter(answer for answer in answers if answer)
    chosen = counts.most_common(1)[0][0] if counts else answers[0]
    reply = replies[answers.index(chosen)]
    return Completion(reply.text, reply.finish, 0, 0)
