"""What a search tells, as records: a line of its history, the state in its checkpoint, how growth came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, JsonValue

from hswarm.records import Ends, Record
from hswarm.system.executor import Ledger

Fault = Literal["unparsed", "empty", "cut", "failed"]
FAULTS: tuple[Fault, ...] = get_args(Fault)


def faults(counted: Sequence[object]) -> dict[Fault, int]:
    """Replies that could not be scored as meant, by kind: the sums of what each of `counted` has under these names."""
    return {kind: sum(getattr(one, kind) for one in counted) for kind in FAULTS}


class Calls(Record):
    requested: int
    generated: int
    skipped: int = 0


class Tokens(Record):
    prompt: int
    completion: int


class Best(Record):
    """The best system so far: its utility on dev, the step that found it."""

    utility: float
    step: str
    ci: Ends | None = None


class Counting(Record):
    """A record with a number for each kind of fault."""

    def counting(self, counted: Mapping[Fault, int]) -> Self:
        """The same record with these numbers."""
        return self.model_copy(update={str(kind): count for kind, count in counted.items()})


class Step(Counting):
    """What a step scored: utilities (null: not scored), JFK-scores by expert, the interval of the best, what failed."""

    step: str = ""
    utilities: list[float | None] = Field(default_factory=list)
    edges_gone: float | None = None
    jfk: dict[str, float | None] = Field(default_factory=dict)
    ci: Ends | None = None
    edges: list[list[int]] = Field(default_factory=list)
    dropped: int = 0
    unparsed: int = 0
    empty: int = 0
    cut: int = 0
    failed: int = 0

    @property
    def highest(self) -> float | None:
        """The best utility, None if nothing was scored."""
        return max((value for value in self.utilities if value is not None), default=None)


class Generation(Counting):
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


class HistoryEntry(Record):
    """A line of history.jsonl. What a method adds is in `model_extra`."""

    iteration: int
    role: Step = Step()
    weight: Step = Step()
    scored: Step = Step()
    growth: Generation | None = None
    best: Best
    calls: Calls
    tokens: Tokens = Tokens(prompt=0, completion=0)

    @classmethod
    def of(cls, iteration: int, best: Best, ledger: Ledger) -> Self:
        """The line of an iteration, with what the search has spent so far."""
        calls = Calls(requested=ledger.requested, generated=ledger.generated, skipped=ledger.skipped)
        tokens = Tokens(prompt=ledger.prompt_tokens, completion=ledger.completion_tokens)
        return cls(iteration=iteration, best=best, calls=calls, tokens=tokens)

    @property
    def faults(self) -> dict[Fault, int]:
        """The replies of the iteration that could not be scored as meant."""
        return faults([self.role, self.weight, self.scored, *([self.growth] if self.growth else [])])

    def content(self) -> dict[str, JsonValue]:
        content = super().content()
        totals = {key: content.pop(key) for key in ("best", "calls", "tokens") if key in content}
        return content | totals


class Ancestor(Record):
    """A system on the way to the one found: the move that made it and its mean on the questions it was asked."""

    step: str
    move: str
    system: str
    score: float
    questions: int


class Growth(Record):
    """Part `growth` of report.json.

    `tried` counts the systems scored. `lineage` leads from the start to the system found. `experts` is the gain by each
    expert (Banzhaf value). `orders` are the ordered pairs that the model thinks best: first, then, expected score.
    """

    tried: int
    lineage: list[Ancestor]
    experts: dict[str, float]
    orders: list[Annotated[list[str | float], Field(min_length=3, max_length=3)]]


class State(Record):
    """What a checkpoint holds beside its arrays: the iterations done, the seconds they took, and of the engine its
    fingerprint and the most calls known to fit in its memory. Methods add their own."""

    iteration: int = Field(ge=0)
    wall_s: float
    engine: str = ""
    most: int | None = None
