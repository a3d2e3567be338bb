"""Gaps: dev questions that no system of the search answered, and what they have in common. No call is made.

They say which expert is worth adding: `hswarm experts train`, then `hswarm search RECIPE --from RUN` (docs/experts.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import comb
from typing import NamedTuple

import numpy as np

from hswarm.analysis.context import AnalysisContext, analysis
from hswarm.analysis.result import AnalysisResult, Table
from hswarm.errors import RunError
from hswarm.io import Array
from hswarm.methods.growth.checkpoint import GrowthState, unpacked
from hswarm.runs.answers import grouped
from hswarm.scorers.base import SOLVED
from hswarm.tasks.task import Example

_WORDS, _SHOWN = 8, 10


class Word(NamedTuple):
    """A word, in how many of the gaps and of the other questions it stands, and the p-value of the difference (one
    side of Fisher's exact test)."""

    word: str
    gaps: int
    others: int
    p_value: float


@analysis("gaps", "Dev questions that no system of the search solved, and what they have in common")
def gaps(context: AnalysisContext) -> AnalysisResult:
    """By group (task or domain), and by the words that gaps hold and other questions do not."""
    growth, kept = context.run.report.growth, None
    if growth:
        kept = context.run.load_state(GrowthState)
    dev = context.evaluator.dev
    if not growth or kept is None or len(kept[1].order) != len(dev):
        raise RunError("no scores of single questions are kept: search with growth, without search.clean_up")
    best, asked = _best(*kept)
    left = [i for i in range(len(dev)) if best[i] < SOLVED]
    words = _telling(dev, set(left))
    return AnalysisResult(
        "gaps",
        "What no system of the search solved",
        _says(growth.tried, len(dev), [asked[i] for i in left], words),
        (
            Table("By group", ("group", "questions", "solved by some system", "by none"), _by_group(dev, left)),
            Table(
                "Some of them",
                ("question", "answer", "best score", "systems asked"),
                tuple((dev[i].question, dev[i].answer, f"{best[i]:.2f}", str(asked[i])) for i in left[:_SHOWN]),
            ),
        ),
        numbers={"gaps": [dev[i].id for i in left], "words": [one._asdict() for one in words]},
        calls=context.spent(),
    )


def _says(tried: int, questions: int, asked: Sequence[int], words: Sequence[Word]) -> tuple[str, ...]:
    gaps = len(asked)
    says = [f"{gaps} of {questions} dev questions were solved by none of the {tried:,} systems scored"]
    if not gaps:
        return tuple(says)
    says.append(f"each of them was asked of {min(asked)} systems at least")
    if words:
        named = (f"{one.word} (in {one.gaps} of {gaps}; in {one.others} of {questions - gaps} others)" for one in words)
        says.append(f"words that they hold more often than other questions: {', '.join(named)}")
    says.append("if an expert is missing: hswarm experts train, then hswarm search RECIPE --from RUN")
    return tuple(says)


def _best(tensors: Mapping[str, Array], state: GrowthState) -> tuple[list[float], list[int]]:
    """The best score of each dev question by any system, and how many systems were asked it."""
    best, asked = np.zeros(len(state.order)), np.zeros(len(state.order), dtype=int)
    for row in unpacked(tensors, state.board).scores.values():
        places = state.order[: len(row)]
        best[places] = np.fmax(best[places], row)
        asked[places] += np.isfinite(row)
    return best.tolist(), asked.tolist()


def _by_group(dev: Sequence[Example], gaps: Sequence[int]) -> tuple[tuple[str, ...], ...]:
    names, rows = grouped(dev), []
    for name in dict.fromkeys(names):
        members = {i for i, group in enumerate(names) if group == name}
        none = len(members & set(gaps))
        rows.append((name or "all", str(len(members)), str(len(members) - none), str(none)))
    return tuple(sorted(rows, key=lambda row: -int(row[3])))


def _telling(dev: Sequence[Example], gaps: set[int]) -> list[Word]:
    """The words that tell gaps from the others, the surest first: p below 0.05 after Bonferroni's correction."""
    held = [set(re.findall(r"[^\W\d_]+", one.question.casefold())) for one in dev]
    found = []
    for word in sorted(set().union(*held)):
        holding = [i for i, words in enumerate(held) if word in words]
        inside = len(gaps.intersection(holding))
        found.append(Word(word, inside, len(holding) - inside, _by_chance(inside, len(holding), len(gaps), len(dev))))
    sure = [one for one in found if one.p_value * len(found) < 0.05]
    return sorted(sure, key=lambda one: (one.p_value, one.word))[:_WORDS]


def _by_chance(inside: int, holding: int, gaps: int, every: int) -> float:
    """How likely `inside` or more of `holding` questions are among the `gaps` of `every` by chance."""
    most = min(holding, gaps)
    ways = sum(comb(gaps, k) * comb(every - gaps, holding - k) for k in range(inside, most + 1))
    return ways / comb(every, holding)
