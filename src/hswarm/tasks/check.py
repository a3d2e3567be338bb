"""What is doubtful about a task's data: duplicates, dev/test overlap, answers that guessing would give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hswarm.tasks.task import Example, Task


@dataclass(frozen=True)
class TaskCheck:
    """Counts over a task. Overlap: test questions that occur in dev; chance: that of the best constant answer."""

    dev: int
    test: int
    scorer: str
    duplicates_dev: int
    duplicates_test: int
    overlap_questions: int
    overlap_questions_and_answers: int
    most_common_answers: str
    chance: float


def check_task(task: Task) -> TaskCheck:
    """Count what should be zero, and how answers are distributed."""
    asked = {example.question for example in task.dev}
    answered = {_pair(example) for example in task.dev}
    answers = Counter(example.answer for example in (*task.dev, *task.test))
    return TaskCheck(
        dev=len(task.dev),
        test=len(task.test),
        scorer=task.scorer,
        duplicates_dev=_duplicates(task.dev),
        duplicates_test=_duplicates(task.test),
        overlap_questions=sum(example.question in asked for example in task.test),
        overlap_questions_and_answers=sum(_pair(example) in answered for example in task.test),
        most_common_answers=", ".join(f"{answer[:30]} ({count})" for answer, count in answers.most_common(10)),
        chance=answers.most_common(1)[0][1] / answers.total(),
    )


def _pair(example: Example) -> tuple[str, str]:
    """Question and the answer's text: the letter of a choice says nothing by itself."""
    return example.question, example.choices.get(example.answer, example.answer)


def _duplicates(examples: Sequence[Example]) -> int:
    """Entries that repeat another one's question and choices."""
    return len(examples) - len({(example.question, *sorted(example.choices.values())) for example in examples})
