"""The records of a run's folder as objects, checked where they are read: another version may have written them.

A field with a default is a part that can be left out. Keys not named here are kept (`model_extra`), not used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from hswarm.core.topology import Topology
from hswarm.errors import RunError

Ends = Annotated[list[float], Field(min_length=2, max_length=2)]
R = TypeVar("R", bound="Record")
_COUNTED = ("iteration", "step", "turn", "generation")  # what methods count from zero in a step's name
Role = Literal["found", "start", "best_single"]
Fault = Literal["unparsed", "empty", "cut", "failed"]


def spoken_step(step: str) -> str:
    """A step's name as people read it: "3/role" is "iteration 4, role", since numbers that are read count from one."""
    number, slash, rest = step.partition("/")
    if slash and number.isdecimal():
        return f"iteration {int(number) + 1}, {rest}"
    word, _, number = step.partition(" ")
    return f"{word} {int(number) + 1}" if word in _COUNTED and number.isdecimal() else step


class Record(BaseModel):
    """Plain JSON: no text for a number, no NaN."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")
    _left_out: tuple[str, ...] = ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """The parts that were not read, since they have another form than this version writes."""
        return self._left_out

    def content(self) -> dict[str, JsonValue]:
        """What the file holds: every key that was set, in the order of the fields."""
        return self.model_dump(exclude_unset=True)


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


class Graph(Record):
    size: int = Field(le=10_000)
    edges: list[Annotated[list[int], Field(min_length=2, max_length=2)]]

    @model_validator(mode="after")
    def _decoded(self) -> Self:
        self.topology()
        return self

    def topology(self) -> Topology:
        return Topology.of(self.size, ((u, v) for u, v in self.edges))


def _one_a_node(experts: Sequence[object], size: int) -> None:
    if len(experts) != size:
        raise ValueError(f"{len(experts)} experts at {size} nodes")


class Assigned(Graph):
    assignment: list[str]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _one_a_node(self.assignment, self.size)
        return self


class Calls(Record):
    requested: int
    generated: int
    skipped: int = 0


class AllCalls(Record):
    requested: int
    generated: int
    reused: int
    skipped: int = 0
    failed: int = 0


class Tokens(Record):
    prompt: int
    completion: int


class Gain(Record):
    difference: float
    ci: Ends
    p_value: float


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


class Ancestor(Record):
    step: str
    move: str
    system: str
    score: float
    questions: int


class Group(Record):
    """Scores on the questions of one task, or one domain, of several."""

    found: Summary
    start: Summary | None = None
    best_single: Summary | None = None


class Growth(Record):
    """What growth tells of its search (methods/growth/story.py)."""

    tried: int
    lineage: list[Ancestor]
    experts: dict[str, float]
    orders: list[Annotated[list[str | float], Field(min_length=3, max_length=3)]]


class Generation(Record):
    """Growth's part of a line of the history: its phase, (questions, terms asked so many) by rung, the leader.

    `asked` is how many questions decided so far; 0: all of dev.
    """

    phase: str
    rungs: list[Annotated[list[int], Field(min_length=2, max_length=2)]]
    known: int
    system: str
    asked: int = 0
    unparsed: int = 0
    empty: int = 0
    cut: int = 0
    failed: int = 0


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
    test_faults: dict[Role, dict[Fault, int]] = {}
    gain_on_test: Gain | None = None
    gain_over_start: Gain | None = None
    singles_test: dict[str, float | None] = {}
    forecast: dict[str, Predicted] = {}
    pruned: Pruned | None = None
    groups: dict[str, Group] = {}


class Step(Record):
    """What a step scored: utilities (null: not scored), JFK-scores by expert, the interval of the best, what failed."""

    step: str = ""
    utilities: list[float | None] = []
    edges_gone: float | None = None
    jfk: dict[str, float | None] = {}
    ci: Ends | None = None
    edges: list[list[int]] = []
    dropped: int = 0
    unparsed: int = 0
    empty: int = 0
    cut: int = 0
    failed: int = 0

    @property
    def highest(self) -> float | None:
        """The best utility, None if nothing was scored."""
        return max((value for value in self.utilities if value is not None), default=None)


class Best(Record):
    """The best system so far: its utility on dev, the step that found it."""

    utility: float
    step: str
    ci: Ends | None = None


class HistoryEntry(Record):
    """A line of history.jsonl. What a method tells besides is in `model_extra`."""

    iteration: int
    role: Step = Step()
    weight: Step = Step()
    scored: Step = Step()
    growth: Generation | None = None
    best: Best
    calls: Calls
    tokens: Tokens = Tokens(prompt=0, completion=0)

    @classmethod
    def of(cls, told: Mapping[str, object]) -> Self:
        """What a method told of an iteration, as its line will be read."""
        return cls.model_validate(json.loads(json.dumps(told)))

    def content(self) -> dict[str, JsonValue]:
        content = super().content()
        totals = {key: content.pop(key) for key in ("best", "calls", "tokens") if key in content}
        return content | totals


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
    scores: list[float | None] = []
    read: str | None = ""
    group: str = ""


class _Node(Record):
    expert: str


class Saved(Record):
    """best/system.json, as far as it can be drawn."""

    topology: Graph
    nodes: list[_Node]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _one_a_node(self.nodes, self.topology.size)
        return self


def checked(content: object, form: type[R], where: Path | str) -> R:
    """`content` of the file `where` as an object, less those parts of another form that can be left out (`left_out`).

    RunError if another part is of another form.
    """
    try:
        return form.model_validate(content)
    except ValidationError as fault:
        errors = fault.errors()
    needed = [error for error in errors if not error["loc"] or form.model_fields[str(error["loc"][0])].is_required()]
    if needed or not isinstance(content, dict):
        place = ".".join(map(str, needed[0]["loc"])) or "all of it"
        raise RunError(
            f"{where} has another form than this version writes ({place}: {needed[0]['msg']}); read it with "
            "the version that wrote it, or write it again"
        )
    parts = {str(error["loc"][0]) for error in errors}
    made = form.model_validate({key: value for key, value in content.items() if key not in parts})
    made._left_out = tuple(sorted(parts))
    return made
