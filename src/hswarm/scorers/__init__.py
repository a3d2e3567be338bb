"""Scorers: one file each, one line in the table."""

from __future__ import annotations

from hswarm.registry import lookup
from hswarm.scorers.base import Scorer

TABLE = {
    "choice": "hswarm.scorers.choice:choice",
    "exact": "hswarm.scorers.exact:exact",
    "reference": "hswarm.scorers.reference:reference",
    "reference-last5": "hswarm.scorers.reference:reference_last5",
    "verifier": "hswarm.scorers.verifier:verifier",
}


def get_scorer(name: str) -> Scorer:
    """The scorer called `name`."""
    scorer: Scorer = lookup("scorers", TABLE, name)
    return scorer
