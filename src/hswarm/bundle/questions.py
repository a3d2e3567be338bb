"""Questions to try: a few of the task's own, which a bundle carries so that who gets it sees what it is for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from hswarm import io
from hswarm.errors import HSwarmError, RunError
from hswarm.runs.answers import read_answers
from hswarm.runs.directory import Run
from hswarm.tasks.task import with_choices

FILE = "examples.json"
_MOST, _LONGEST = 3, 2000  # questions; characters of one
_Text = Annotated[str, Field(max_length=_LONGEST)]


class Question(BaseModel):
    """A question as the experts read it, and the task's own answer."""

    question: _Text
    answer: _Text


_Questions = TypeAdapter(Annotated[list[Question], Field(max_length=_MOST)])


def questions_of_run(run: Run) -> list[Question]:
    """The first searched dev questions that are not too long; none if the run kept no answers."""
    try:
        answers = read_answers(run) or []
    except HSwarmError:
        return []
    asked = ((with_choices(line.question, line.choices), line.answer) for line in answers)
    short = (Question(question=q, answer=a) for q, a in asked if max(len(q), len(a)) <= _LONGEST)
    return list(islice(short, _MOST))


def read_questions(folder: Path) -> list[Question]:
    """Those in a bundle; none where the file is missing. RunError if it holds something else."""
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        return _Questions.validate_python(io.read_json(path, "questions to try"))
    except ValidationError as fault:
        raise RunError(
            f"{path} is not as hswarm writes it ({fault.error_count()} faults); expected at most {_MOST} questions "
            f"with answers, each of at most {_LONGEST} characters; remove it and its line in manifest.json"
        ) from fault


def write_questions(folder: Path, questions: Sequence[Question]) -> None:
    """Write them to a bundle, if there are any."""
    if questions:
        content = [question.model_dump() for question in questions]
        io.write_text(folder / FILE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
