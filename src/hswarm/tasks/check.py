"""What is doubtful about a task's data: duplicates, dev/test overlap, answers that guessing would give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hswarm.tasks.task import Example, Task


@dataclass(frozen=True)
class TaskCheck:
    """Counts over a task. Overlap: test questions that occur in dev.

    `chance` is the expected score of a random option (choices only), `constant` that of the best constant answer.
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
        most_common_answers=", ".join(f"{answer[:30]} ({count})" for answer, count in answers.most_common(10)),
        blank_chunks=sum(not chunk.strip() for example in whole for chunk in example.context),
        choices=_spread(len(example.choices) for example in whole),
        chunks=_spread(len(example.context) for example in whole),
        question_characters=f"{lengths[0]} to {lengths[-1]}, median {lengths[len(lengths) // 2]}",
        chance=sum(1 / len(e.choices) for e in whole) / len(whole) if all(e.choices for e in whole) else None,
        constant=answers.most_common(1)[0][1] / answers.total(),
    )


def _spread(counts: Iterable[int]) -> str:
    return ", ".join(f"{size} ({often})" for size, often in sorted(Counter(counts).items()))


def _pair(example: Example) -> tuple[str, str]:
    """Question and the answer's text: the letter of a choice says nothing by itself."""
    return example.question, example.choices.get(example.answer, example.answer)


def _duplicates(examples: Sequence[Example]) -> int:
    """Entries that repeat another one's question and choices."""
    return len(examples) - len({(example.question, *sorted(example.choices.values())) for example in examples})
