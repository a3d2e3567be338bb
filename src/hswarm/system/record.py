"""system.json as a record: what a folder with a system says of it, the weights aside (`System.save` writes it)."""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator

from hswarm.core.topology import Topology
from hswarm.engines.base import LEAST, EngineSettings, Sampling
from hswarm.prompts import Prompts
from hswarm.records import Record

_TOKENS = 1_000_000  # of a reply


class Graph(Record):
    size: int = Field(le=10_000)
    edges: list[Annotated[list[int], Field(min_length=2, max_length=2)]]

    @model_validator(mode="after")
    def _decoded(self) -> Self:
        self.topology()
        return self

    def topology(self) -> Topology:
        return Topology.of(self.size, ((u, v) for u, v in self.edges))


class ExpertRecord(Record):
    """An expert by name: its folder below experts/, the digest of what is there, its base where that is its own."""

    expert: str = Field(min_length=1, max_length=200)
    folder: str = ""
    digest: str = ""
    base: str = ""


class RouterRecord(Record):
    """A router's numbers: a row of `weights` for each system it chooses among, two and one for each of `words` long."""

    words: list[str]
    weights: list[list[float]]
    price: float
    sure: float

    @model_validator(mode="after")
    def _fits(self) -> Self:
        lengths = {len(row) for row in self.weights}
        if lengths != {len(self.words) + 2}:
            raise ValueError(f"a router of {len(self.words)} words has rows of {sorted(lengths)} weights")
        return self


class NodeRecord(ExpertRecord):
    """What stands at a node: an expert, a vote, a route, or the parts of a fusion with their weights."""

    vote: bool = False
    route: RouterRecord | None = None
    fusion: list[ExpertRecord] = Field(default_factory=list)
    weights: list[float] | None = None
    temperature: float = 1.0

    @property
    def experts(self) -> list[ExpertRecord]:
        """The experts that it calls."""
        return [] if self.vote or self.route else self.fusion or [self]


class SystemRecord(Record):
    """The whole file; `seeds` and `hashes` (of bases, by name) may be missing."""

    model_config = ConfigDict(strict=False)  # lists stand for the tuples of settings

    format: int
    topology: Graph
    nodes: list[NodeRecord]
    prompts: Prompts
    base: str = Field(max_length=4096)
    engine: EngineSettings
    sampling: Sampling
    seeds: list[Annotated[int, Field(ge=-(2**63), lt=2**63)]] = Field(default_factory=list)
    hashes: dict[str, dict[str, str]] = Field(default_factory=dict)
    early_exit: JsonValue = None  # of systems of earlier versions

    @field_validator("sampling")
    @classmethod
    def _can_be_drawn(cls, made: Sampling) -> Sampling:
        if (
            not 1 <= made.max_new_tokens <= _TOKENS
            or not (made.temperature == 0 or LEAST <= made.temperature < math.inf)
            or not LEAST <= made.top_p <= 1
        ):
            raise ValueError(
                f"expected 1 to {_TOKENS} new tokens, temperature 0 or at least {LEAST:g} and top_p between {LEAST:g} "
                f"and 1, got {made.max_new_tokens:g}, {made.temperature:g} and {made.top_p:g}"
            )
        return made

    @model_validator(mode="after")
    def _one_a_node(self) -> Self:
        if len(self.nodes) != self.topology.size:
            raise ValueError(f"{len(self.nodes)} experts at {self.topology.size} nodes")
        return self
