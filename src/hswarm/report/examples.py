"""Questions that show what a system does: those it gets right and no expert does, and typical ones that it fails.

They are dev questions, whose replies the search keeps (runs/answers.py); no model is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import NamedTuple

from hswarm.core.topology import Topology
from hswarm.errors import RunError
from hswarm.runs.answers import only_together, read_answers
from hswarm.runs.directory import Run
from hswarm.runs.schema import Answer
from hswarm.scorers.base import SOLVED

SHOWN = 5  # questions of a kind on a page
_UNREAD, _EXPERT, _LOST, _NEVER = (
    "no answer could be read in the reply",
    "an expert is right alone",
    "a node on the way was right, and it was lost after that",
    "no node was right",
)


class Message(NamedTuple):
    """What a node (numbered from one) said to which others, "the answer" for the sink; its score if it were that."""

    node: int
    expert: str
    to: str
    text: str
    score: float | None


def told_to(topology: Topology, node: int) -> str:
    """Who reads what `node` replies."""
    readers = [v + 1 for u, v in sorted(topology.edges) if u == node]
    return f"to {', '.join(map(str, readers))}" if readers else "the answer"


@dataclass(frozen=True)
class Example:
    """A question with the messages on the way to its answer, each expert's score alone, and why it was failed."""

    question: str
    choices: Mapping[str, str]
    answer: str
    messages: Sequence[Message]
    alone: Mapping[str, float | None]
    read: str | None = ""
    why: str = ""


@dataclass(frozen=True)
class Examples:
    """Questions `won` by nobody alone and `failed` ones, with a sentence about each; the score of each node's replies
    on dev if they were the answer ([] if unknown)."""

    won: Sequence[Example]
    about: str
    failed: Sequence[Example] = ()
    about_failed: str = ""
    nodes: Sequence[float | None] = ()


def read_examples(run: Run, topology: Topology | None, names: Sequence[str]) -> Examples:
    """The examples of a run; none, with the reason, if it is not finished or its answers were not kept."""
    answers = read_answers(run) if run.finished else None
    if topology is None or answers is None:
        why = "were not kept (search.reuse is off, or an older run)" if run.finished else "are known at the end"
        return Examples([], f"Single answers {why}.")
    if any(len(line.replies) != topology.size or len(line.scores) not in (0, topology.size) for line in answers):
        raise RunError(f"{run.path / 'answers.jsonl'} holds answers of another system; search again to have them")
    won, lost = only_together(answers)
    about = (
        f"On dev, which was searched, the system scores higher than every expert alone on {len(won)} of "
        f"{len(answers)} questions, and lower than some expert on {len(lost)}."
    )
    kinds = _failures(answers)
    return Examples(
        [_example(line, topology, names) for line in won[:SHOWN]],
        about,
        [_example(line, topology, names, why) for why, line in _typical(kinds)],
        _told(kinds, len(answers)),
        _means(answers, topology.size),
    )


def _failures(answers: Sequence[Answer]) -> dict[str, list[Answer]]:
    """The failed questions by what went wrong, the most frequent kind first."""
    kinds: dict[str, list[Answer]] = {}
    for line in answers:
        if line.score is not None and line.score < SOLVED:
            kinds.setdefault(_why(line), []).append(line)
    return dict(sorted(kinds.items(), key=lambda kind: -len(kind[1])))


def _why(line: Answer) -> str:
    if line.read is None:
        return _UNREAD
    if any(score is not None and score >= SOLVED for score in line.alone.values()):
        return _EXPERT
    if any(score is not None and score >= SOLVED for score in line.scores):
        return _LOST
    return _NEVER if line.scores else ""


def _typical(kinds: Mapping[str, Sequence[Answer]]) -> list[tuple[str, Answer]]:
    """A few of the failed questions: of each kind in turn, each kind's groups (tasks, domains) in turn."""
    rows = [[(why, line) for line in _in_turn(lines)] for why, lines in kinds.items()]
    return [one for one in chain(*zip_longest(*rows)) if one][:SHOWN]


def _in_turn(lines: Sequence[Answer]) -> list[Answer]:
    groups: dict[str, list[Answer]] = {}
    for line in lines:
        groups.setdefault(line.group, []).append(line)
    return [line for line in chain(*zip_longest(*groups.values())) if line]


def _told(kinds: Mapping[str, Sequence[Answer]], questions: int) -> str:
    count = sum(map(len, kinds.values()))
    if not count:
        return f"The system fails none of the {questions} dev questions."
    reasons = "; ".join(f"in {len(lines)} {why}" for why, lines in kinds.items() if why)
    return f"The system fails {count} of {questions} dev questions{': ' if reasons else ''}{reasons}."


def _means(answers: Sequence[Answer], size: int) -> list[float | None]:
    """The mean score of each node's replies; [] if they were not scored."""
    rows = [line.scores for line in answers if line.scores]
    if not rows:
        return []
    known = [[row[node] for row in rows] for node in range(size)]
    scored = [[score for score in scores if score is not None] for scores in known]
    return [sum(scores) / len(scores) if scores else None for scores in scored]


def _example(line: Answer, topology: Topology, names: Sequence[str], why: str = "") -> Example:
    messages = []
    for node in topology.order:
        score = line.scores[node] if line.scores else None
        messages.append(Message(node + 1, names[node], told_to(topology, node), line.replies[node], score))
    alone = {name: score for name, score in line.alone.items() if score is not None}
    return Example(line.question, line.choices, line.answer, messages, alone, line.read, why)
