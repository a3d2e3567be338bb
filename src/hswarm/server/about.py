"""What a system is for, as shown on the page: its task, its scores, questions to try."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue

from hswarm.bundle.package import Source
from hswarm.errors import HSwarmError
from hswarm.runs.answers import read_answers
from hswarm.runs.directory import Run
from hswarm.runs.schema import Answer, Summary

_EXAMPLES = 3
_LONGEST = 2000  # characters of an example question


class About(NamedTuple):
    """`system` and `single`: the test scores, {"score", "low", "high", "n"}; `examples`: {"question", "answer"}."""

    task: str
    system: dict[str, float] | None
    single: dict[str, float] | None
    examples: list[dict[str, str]]

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "task": self.task,
            "system": {**self.system} if self.system else None,
            "single": {**self.single} if self.single else None,
            "examples": [{**example} for example in self.examples],
        }


def about(source: Source, folder: Path) -> About | None:
    """What is known about the system in `folder`; None without a report. A bundle holds no questions to try."""
    if not source.report:
        return None
    report = source.report
    return About(report.task, _score(report.test), _score(report.best_single.test), _examples(folder))


def _score(summary: Summary | None) -> dict[str, float] | None:
    if summary is None or summary.score is None or summary.ci is None:
        return None
    low, high = summary.ci
    return {"score": summary.score, "low": low, "high": high, "n": summary.n}


def _examples(folder: Path) -> list[dict[str, str]]:
    """The first dev questions of a run, as the experts read them."""
    if not (folder / "config.toml").is_file():
        return []
    try:
        answers = read_answers(Run.open(folder)) or []
    except HSwarmError:
        return []
    asked = ({"question": _asked(line), "answer": line.answer} for line in answers)
    return list(islice((one for one in asked if len(one["question"]) <= _LONGEST), _EXAMPLES))


def _asked(line: Answer) -> str:
    return "\n".join([line.question, *(f"{letter}: {text}" for letter, text in line.choices.items())])
