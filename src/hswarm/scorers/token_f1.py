"""Token F1 (as in SQuAD, arXiv 1606.05250): overlap of the words of response and answer, best over the answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hswarm.scorers.base import Score, accepted, scorer
from hswarm.tasks.task import Example

_WORD = re.compile(r"\w+", re.UNICODE)
_ARTICLES = {"a", "an", "the"}


@scorer("token_f1", "Overlap of the words of response and answer", paper="SQuAD (arXiv 1606.05250)", states="{}")
def token_f1(examples: Sequence[Example], responses: Sequence[str]) -> list[Score]:
    """Harmonic mean of precision and recall over words, without case, punctuation and articles."""
    values = likeness(examples, responses).tolist()
    return [
        Score(value, bool(response.strip()), response.strip())
        for value, response in zip(values, responses, strict=True)
    ]


def likeness(examples: Sequence[Example], responses: Sequence[str]) -> NDArray[np.float64]:
    """How like an accepted answer each response is, from 0 to 1, shape (examples,); 0 where no answer is known."""
    pairs = zip(examples, responses, strict=True)
    best = [max((_f1(_words(response), _words(a)) for a in accepted(e)), default=0.0) for e, response in pairs]
    return np.array(best, dtype=np.float64)


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _ARTICLES]


def _f1(found: list[str], wanted: list[str]) -> float:
    if not found or not wanted:
        return float(found == wanted)
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted))
