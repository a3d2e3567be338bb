"""What a system is for, as the page tells it: its task, its scores, questions to try."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue

from hswarm.bundle.package import Source
from hswarm.errors import HSwarmError
from hswarm.runs.answers import read_answers
from hswarm.runs.directory import Run

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
    """What is known of the system in `folder`; None without a report. A bundle holds no questions to try."""
    if not source.report:
        return None
    report = source.report
    single = report.get("best_single") or {}
    return About(str(report["task"]), _score(report.get("test")), _score(single.get("test")), _examples(folder))


def _score(summary: Mapping[str, object] | None) -> dict[str, float] | None:
    if not summary or not isinstance(score := summary["score"], int | float) or not isinstance(summary["ci"], list):
        return None
    low, high = summary["ci"]
    return {"score": float(score), "low": float(low), "high": float(high), "n": float(str(summary["n"]))}


def _examples(folder: Path) -> list[dict[str, str]]:
    """The first dev questions of a run, as experts read them."""
    if not (folder / "config.toml").is_file():
        return []
    try:
        answers = read_answers(Run.open(folder)) or []
    except HSwarmError:
        return []
    asked = ({"question": _asked(line), "answer": str(line["answer"])} for line in answers)
    return list(islice((one for one in asked if len(one["question"]) <= _LONGEST), _EXAMPLES))


def _asked(line: Mapping[str, JsonValue]) -> str:
    choices = line["choices"]
    options = [f"{letter}: {text}" for letter, text in choices.items()] if isinstance(choices, dict) else []
    return "\n".join([str(line["question"]), *options])
