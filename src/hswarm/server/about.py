"""What a system is for, as shown on the page: its task, its scores, questions to try."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import JsonValue

from hswarm.bundle.package import Source
from hswarm.runs.schema import Summary
from hswarm.tasks.task import task as tasks


class About(NamedTuple):
    """`purpose` says what the task is, "" where that is not known; `system` and `single`: the test scores, {"score",
    "low", "high", "n"}; `examples`: {"question", "answer"}."""

    task: str
    purpose: str
    system: dict[str, float] | None
    single: dict[str, float] | None
    examples: list[dict[str, str]]

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "task": self.task,
            "purpose": self.purpose,
            "system": {**self.system} if self.system else None,
            "single": {**self.single} if self.single else None,
            "examples": [{**example} for example in self.examples],
        }


def about(source: Source) -> About | None:
    """What is known about the system; None without a report."""
    if not (report := source.report):
        return None
    known = tasks.parts.get(report.task)
    examples = [question.model_dump() for question in source.questions]
    return About(
        report.task, known.about if known else "", _score(report.test), _score(report.best_single.test), examples
    )


def _score(summary: Summary | None) -> dict[str, float] | None:
    if summary is None or summary.score is None or summary.ci is None:
        return None
    low, high = summary.ci
    return {"score": summary.score, "low": low, "high": high, "n": summary.n}
