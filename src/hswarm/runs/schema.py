"""The records of a run's folder; those that a search writes while it works are in session/records.py."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from hswarm.records import Ends, Record
from hswarm.session.records import Fault, Growth, Tokens
from hswarm.system.record import Graph

_COUNTED = ("iteration", "step", "turn", "generation", "walk")  # what methods count from zero in a step's name
START = "best of the first systems"
Role = Literal["found", "start", "best_single"]


def spoken_step(step: str) -> str:
    """A step's name as people read it: "3/role" is "iteration 4 (role-step)", since numbers that are read count from
    one."""
    number, slash, kind = step.partition("/")
    if slash and number.isdecimal():
        return f"iteration {int(number) + 1} ({kind}{'-step' * (kind in ('role', 'weight'))})"
    word, _, number = step.partition(" ")
    return f"{word} {int(number) + 1}" if word in _COUNTED and number.isdecimal() else f"step '{step}'"


class Summary(Record):
    """The mean score of `n` questions and its 95 % interval, None where none was answered; `failed` more were not."""

    score: float | None
    n: int
    ci: Ends | None
    failed: int = 0

    def __str__(self) -> str:
        if self.score is None:
            return "-"
        return f"{self.score:.3f} [{self.ci[0]:.3f}, {self.ci[1]:.3f}]" if self.ci else f"{self.score:.3f}"


class Scored(Record):
    """A system's scores; `test` is None where it was not looked at."""

    dev: Summary
    test: Summary | None


class Single(Record):
    """The expert that scores best alone."""

    expert: str
    dev: Summary
    test: Summary | None


class Assigned(Graph):
    assignment: list[str]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(self.assignment) != self.size:
            raise ValueError(f"{len(self.assignment)} experts at {self.size} nodes")
        return self


class AllCalls(Record):
    requested: int
    generated: int
    reused: int
    skipped: int = 0
    failed: int = 0


class Gain(Record):
    difference: float
    ci: Ends
    p_value: float

    def __str__(self) -> str:
        return f"{self.difference:+.3f} [{self.ci[0]:+.3f}, {self.ci[1]:+.3f}]"


class Predicted(Record):
    """What was forecast of a cost, what it was, and by which share the forecast was above."""

    forecast: int | float
    came: int | float
    off: float | None


class Finalist(Record):
    """A system among which held-out dev decided: its utility where it was searched, and on held-out dev."""

    step: str
    searched: float | None
    held_out: float | None


class HeldOut(Record):
    """The choice on `held_out` dev questions: the place of the one chosen, how much the utility drops on average."""

    held_out: int
    finalists: list[Finalist]
    chosen: int
    drop: float | None


class Pruned(Record):
    """What leaving out nodes did on dev: nodes before and after, utilities, their paired difference."""

    nodes: int
    kept: int
    dev_before: float
    dev_after: float
    difference: float
    ci: Ends


class Group(Record):
    """Scores on the questions of one task, or one domain, of several."""

    found: Summary
    start: Summary | None = None
    best_single: Summary | None = None


class Report(Record):
    """report.json."""

    task: str
    engine: str
    seed: int
    dev: Summary
    test: Summary | None
    best_single: Single
    start: Scored
    singles: dict[str, float | None]
    found_at: str
    topology: Assigned
    iterations: int
    stopped: dict[str, int | float]
    calls: AllCalls
    tokens: Tokens
    overlap: int
    wall_s: float
    versions: dict[str, str]
    growth: Growth | None = None
    selection: HeldOut | None = None
    test_faults: dict[Role, dict[Fault, int]] = Field(default_factory=dict)
    gain_on_test: Gain | None = None
    gain_over_start: Gain | None = None
    singles_test: dict[str, float | None] = Field(default_factory=dict)
    forecast: dict[str, Predicted] = Field(default_factory=dict)
    pruned: Pruned | None = None
    groups: dict[str, Group] = Field(default_factory=dict)

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """The scores as people read them: what was scored, on dev, on test ("-" where it was not)."""
        single = self.best_single
        scored: list[tuple[str, Single | Scored | Report]] = [
            (f"best single expert: {single.expert}", single),
            (f"start: {START}", self.start),
            ("found system", self),
        ]
        return [(name, str(row.dev), str(row.test or "-")) for name, row in scored]


class Answer(Record):
    """A line of answers.jsonl: a searched dev question, the system's score and each expert's alone, a reply a node.

    `scores` are those of the replies, one a node, if each were the answer; `read` is what was read as the system's
    answer, None where none was found. `group` is the question's task, or domain, where there are several.
    """

    id: str = ""
    question: str
    choices: dict[str, str]
    answer: str
    score: float | None
    alone: dict[str, float | None]
    replies: list[str]
    scores: list[float | None] = Field(default_factory=list)
    read: str | None = ""
    group: str = ""
