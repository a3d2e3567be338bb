"""The records of a comparison: what each cell found (result.json), and the table made of all (table.json)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from hswarm import io
from hswarm.records import Ends, Record, checked
from hswarm.runs.schema import HeldOut


class Spent(Record):
    """What a search spent, on average over seeds in a table; seconds are unknown where calls were shared."""

    calls: float | None
    tokens: float | None
    seconds: float | None


class Measured(Record):
    """A method's result on one task with one seed: scores by question, None where a call failed; calls and tokens of
    an answer; the system."""

    task: str
    method: str
    seed: int
    spent: Spent
    dev: list[float | None]
    test: list[float | None]
    calls: int
    tokens: float
    experts: list[str] = Field(default_factory=list)
    edges: list[list[int]] = Field(default_factory=list)
    selection: HeldOut | None = None


class NotRun(Record):
    """A method that could not run on a task, and why."""

    task: str
    method: str
    seed: int
    refused: str


Result = Measured | NotRun


def read_result(path: Path) -> Result:
    """The result.json at `path`; RunError if it is damaged or of another form."""
    content = io.read_json(path, "a result")
    refused = isinstance(content, dict) and "refused" in content
    return checked(content, NotRun, path) if refused else checked(content, Measured, path)


class Difference(Record):
    """A paired difference of test scores to a reference, its interval, and Holm's p-value."""

    difference: float
    ci: Ends | None = None
    p_value: float


class Row(Record):
    """A method's row of a task: means over seeds, `drop` from dev to test, `gain` over the best single expert in %."""

    method: str
    test: float
    ci: Ends
    n: int = 0
    seeds: int = 1
    sd: float | None
    dev: float | None = None
    drop: float
    calls: float
    tokens: float
    spent: Spent
    gain: float | None = None
    to_best_single: Difference | None = None
    to_hswarm: Difference | None = None


class Refused(Record):
    """The row of a method that could not run."""

    method: str
    refused: str


class Overall(Record):
    """A method over all tasks: mean rank (1 is best), mean test score, mean gain."""

    method: str
    rank: float
    test: float
    gain: float | None
    tasks: int


class Comparison(Record):
    """table.json: the rows of each task, and those over all."""

    tasks: dict[str, list[Refused | Row]]
    overall: list[Overall] = Field(default_factory=list)

    def rows(self, task: str) -> list[Row]:
        """The rows of `task` that have scores."""
        return [row for row in self.tasks[task] if isinstance(row, Row)]
