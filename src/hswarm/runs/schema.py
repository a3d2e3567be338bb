"""The form of the JSON in a run's folder, checked where it is read: another version may have written it.

A field with a default is a part that can be left out; what is not named here is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hswarm.core.topology import Topology
from hswarm.errors import RunError

_Ends = Annotated[list[float], Field(min_length=2, max_length=2)]
_Fault = Literal["unparsed", "empty", "cut", "failed"]


class Form(BaseModel):
    """Plain JSON: no text for a number, no NaN."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Summary(Form):
    score: float | None
    n: int
    ci: _Ends | None


class _Scored(Form):
    dev: _Summary
    test: _Summary | None


class _Single(_Scored):
    expert: str


class _Graph(Form):
    size: int = Field(le=10_000)
    edges: list[Annotated[list[int], Field(min_length=2, max_length=2)]]

    @model_validator(mode="after")
    def _decoded(self) -> Self:
        Topology.of(self.size, ((u, v) for u, v in self.edges))
        return self


def _one_a_node(experts: Sequence[Any], size: int) -> None:
    if len(experts) != size:
        raise ValueError(f"{len(experts)} experts at {size} nodes")


class _Assigned(_Graph):
    assignment: list[str]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _one_a_node(self.assignment, self.size)
        return self


class _Calls(Form):
    requested: int
    generated: int


class _AllCalls(_Calls):
    reused: int
    skipped: int = 0


class _Tokens(Form):
    prompt: int
    completion: int


class _Gain(Form):
    difference: float
    ci: _Ends
    p_value: float


class _Forecast(Form):
    forecast: float
    off: float | None


class _Ancestor(Form):
    step: str
    move: str
    system: str
    score: float
    questions: int


class Growth(Form):
    """What growth tells of its search (methods/growth/story.py)."""

    tried: int
    lineage: list[_Ancestor]
    experts: dict[str, float]
    orders: list[Annotated[list[str | float], Field(min_length=3, max_length=3)]]


class Generation(Form):
    """Growth's part of a line of the history: its phase, (questions, terms asked so many) by rung, the leader."""

    phase: str
    rungs: list[Annotated[list[int], Field(min_length=2, max_length=2)]]
    known: int
    system: str
    unparsed: int = 0
    empty: int = 0
    cut: int = 0
    failed: int = 0


class Report(_Scored):
    """report.json."""

    task: str
    engine: str
    seed: int
    best_single: _Single
    start: _Scored
    singles: dict[str, float | None]
    found_at: str
    topology: _Assigned
    iterations: int
    stopped: dict[str, float]
    calls: _AllCalls
    tokens: _Tokens
    overlap: int
    wall_s: float
    versions: dict[str, str]
    test_faults: dict[Literal["found", "start", "best_single"], dict[_Fault, int]] = {}
    gain_on_test: _Gain | None = None
    gain_over_start: _Gain | None = None
    growth: Growth | None = None
    forecast: dict[str, _Forecast] = {}


class _Step(Form):
    utilities: list[float | None] = []
    ci: _Ends | None = None
    jfk: dict[str, float | None] = {}
    unparsed: int = 0
    empty: int = 0
    cut: int = 0
    failed: int = 0


class _Best(Form):
    utility: float
    step: str
    ci: _Ends | None = None


class Entry(Form):
    """A line of history.jsonl."""

    iteration: int
    best: _Best
    calls: _Calls
    tokens: _Tokens = _Tokens(prompt=0, completion=0)
    role: _Step = _Step()
    weight: _Step = _Step()
    scored: _Step = _Step()
    growth: Generation | None = None


class Answer(Form):
    """A line of answers.jsonl."""

    question: str
    choices: dict[str, str]
    answer: str
    score: float | None
    alone: dict[str, float | None]
    replies: list[str]


class _Node(Form):
    expert: str


class Saved(Form):
    """best/system.json, as far as it can be drawn."""

    topology: _Graph
    nodes: list[_Node]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _one_a_node(self.nodes, self.topology.size)
        return self


class _Compared(Form):
    difference: float
    p_value: float


class _Spent(Form):
    calls: float | None
    tokens: float | None
    seconds: float | None


class _Row(Form):
    method: str
    test: float
    ci: _Ends
    sd: float | None
    drop: float
    calls: float
    tokens: float
    spent: _Spent
    gain: float | None = None
    to_best_single: _Compared | None = None
    to_hswarm: _Compared | None = None


class _Refused(Form):
    method: str
    refused: str


class Compared(Form):
    """table.json of a comparison."""

    tasks: dict[str, list[_Refused | _Row]]


def checked(content: Any, form: type[Form], where: Path | str) -> Any:
    """`content` of the file `where`, less those parts of another form that can be left out; "left_out" names them.

    RunError if another part is of another form.
    """
    try:
        form.model_validate(content)
        return content
    except ValidationError as fault:
        errors = fault.errors()
    needed = [error for error in errors if not error["loc"] or form.model_fields[str(error["loc"][0])].is_required()]
    if needed:
        place = ".".join(map(str, needed[0]["loc"])) or "all of it"
        raise RunError(
            f"{where} has another form than this version writes ({place}: {needed[0]['msg']}); read it with "
            "the version that wrote it, or make it anew"
        )
    parts = sorted({str(error["loc"][0]) for error in errors})
    return {key: value for key, value in content.items() if key not in parts} | {"left_out": parts}
