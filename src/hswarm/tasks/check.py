"""Doubts about a task's data: duplicates, dev/test overlap, how far guessing gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from hswarm.tasks.task import Example, Task


@dataclass(frozen=True)
class TaskCheck:
    """Counts over a task. Overlap: test questions that occur in dev.

    `chance` is the expected score of a random option (choices only), `constant` that of the best constant answer.
    `contradictions` are questions (with their choices and context) that have several answers.
    `choices` and `chunks` list how many of them questions have, and how often. A file that does not fit the schema
    is refused when it is read, with the places of its faults.
    """

    dev: int
    test: int
    scorer: str
    duplicates_dev: int
    duplicates_test: int
    overlap_questions: int
    overlap_questions_and_answers: int
    contradictions: int
    blank_chunks: int
    choices: str
    chunks: str
    question_characters: str
    most_common_answers: str
    chance: float | None
    constant: float


def check_task(task: Task) -> TaskCheck:
    """Count what should be zero, and how answers are distributed."""
    asked = {example.question for example in task.dev}
    answered = {_pair(example) for example in task.dev}
    whole = (*task.dev, *task.test)
    answers = Counter(example.answer for example in whole)
    lengths = sorted(len(example.question) for example in whole)
    return TaskCheck(
        dev=len(task.dev),
        test=len(task.test),
        scorer=task.scorer,
        duplicates_dev=_duplicates(task.dev),
        duplicates_test=_duplicates(task.test),
        overlap_questions=sum(example.question in asked for example in task.test),
        overlap_questions_and_answers=sum(_pair(example) in answered for example in task.test),
        contradictions=_contradictions(whole),
        most_common_answers=", ".join(f"{answer[:30]} ({count})" for answer, count in answers.most_common(10)),
        blank_chunks=sum(not chunk.strip() for example in whole for chunk in example.context),
        choices=_spread(len(example.choices) for example in whole),
        chunks=_spread(len(example.context) for example in whole),
        question_characters=f"{lengths[0]} to {lengths[-1]}, median {lengths[len(lengths) // 2]}",
        chance=sum(1 / len(e.choices) for e in whole) / len(whole) if all(e.choices for e in whole) else None,
        constant=answers.most_common(1)[0][1] / answers.total(),
    )


class Verdict(NamedTuple):
    """The verdict on the counts, and its reasons; `status` is the exit status of `hswarm tasks check`."""

    name: Literal["ok", "warnings", "not usable"]
    reasons: tuple[str, ...]

    @property
    def status(self) -> int:
        """0, 1 or 2."""
        return ("ok", "warnings", "not usable").index(self.name)


def verdict(found: TaskCheck, unreadable: Sequence[Example]) -> Verdict:
    """Not usable is a task whose scorer cannot read most of its answers (`unreadable`); any other can be searched."""
    questions = found.dev + found.test
    doubts = {
        "no test questions: the system found cannot be scored on unseen ones": not found.test,
        f"{found.overlap_questions} test questions occur in dev": found.overlap_questions,
        f"{found.duplicates_dev + found.duplicates_test} questions occur twice": found.duplicates_dev
        + found.duplicates_test,
        f"{found.contradictions} questions have several answers; list all that are right": found.contradictions,
        f"{found.blank_chunks} context chunks are blank": found.blank_chunks,
        f"one answer is right for {found.constant:.0%} of the questions": found.constant >= 0.9 and questions > 1,
        f"{len(unreadable)} of {questions} answers cannot be read by scorer '{found.scorer}', first that of "
        f"{', '.join(example.id for example in unreadable[:5])}; shorten them or choose another scorer": unreadable,
    }
    reasons = tuple(text for text, doubt in doubts.items() if doubt)
    if 2 * len(unreadable) > questions:
        return Verdict("not usable", reasons)
    return Verdict("warnings" if reasons else "ok", reasons)


def _contradictions(examples: Sequence[Example]) -> int:
    """Questions that stand with several answers."""
    answers: dict[tuple[object, ...], set[str]] = {}
    for example in examples:
        asked = (example.question, example.context, *sorted(example.choices.values()))
        answers.setdefault(asked, set()).add(_pair(example)[1])
    return sum(len(found) > 1 for found in answers.values())


def _spread(counts: Iterable[int]) -> str:
    return ", ".join(f"{size} ({often})" for size, often in sorted(Counter(counts).items()))


def _pair(example: Example) -> tuple[str, str]:
    """Question and the answer's text: the letter of a choice says nothing by itself."""
    return example.question, example.choices.get(example.answer, example.answer)


def _duplicates(examples: Sequence[Example]) -> int:
    """Entries that repeat another one's question and choices."""
    return len(examples) - len({(example.question, *sorted(example.choices.values())) for example in examples})
