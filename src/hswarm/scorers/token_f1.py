"""Token F1 (as in SQuAD, arXiv 1606.05250): overlap of the words of response and answer, best over the answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from hswarm.scorers.base import Score, accepted, scorer
from hswarm.tasks.task import Example

_WORD = re.compile(r"\w+", re.UNICODE)
_ARTICLES = {"a", "an", "the"}


@scorer("token_f1", "Overlap of the words of response and answer", paper="SQuAD (arXiv 1606.05250)", states="{}")
def token_f1(examples: Sequence[Example], responses: Sequence[str]) -> list[Score]:
    """Harmonic mean of precision and recall over words, without case, punctuation and articles."""
    return [
        Score(
            max(_f1(_words(response), _words(answer)) for answer in accepted(example)),
            bool(response.strip()),
            response.strip(),
        )
        for example, response in zip(examples, responses, strict=True)
    ]


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _ARTICLES]


def _f1(found: list[str], wanted: list[str]) -> float:
    if not found or not wanted:
        return float(found == wanted)
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted))
