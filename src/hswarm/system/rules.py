"""Nodes that reply by a rule, without a model call."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hswarm.engines.base import Completion
from hswarm.errors import RunError
from hswarm.experts.expert import Expert, Node
from hswarm.system.vote import majority
from hswarm.tasks.task import Example


@dataclass(frozen=True, eq=False)
class Rule(Node):
    """A node that calls no model."""

    name: str
    digest: str

    @property
    def calls(self) -> int:
        return 0

    @property
    def experts(self) -> tuple[Expert, ...]:
        return ()

    @abstractmethod
    def reply(self, example: Example, heard: Sequence[Completion]) -> Completion:
        """Its reply to a question, given its predecessors'."""


class Vote(Rule):
    """Replies with the most frequent answer of its predecessors. Make it with `Vote.new`."""

    @classmethod
    def new(cls, name: str = "vote") -> Vote:
        return cls(name, hashlib.sha256(b"vote").hexdigest())

    def reply(self, example: Example, heard: Sequence[Completion]) -> Completion:
        return majority(example, heard)

    def entry(self, saved: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
        return {"expert": self.name, "vote": True}


@dataclass(frozen=True, eq=False)
class Script(Rule):
    """Replies with a fixed line for each question id: for testing the effect of a reply on a system.

    Make it with `Script.saying`. It is never saved.
    """

    lines: Mapping[str, str]

    @classmethod
    def saying(cls, name: str, lines: Mapping[str, str]) -> Script:
        told = json.dumps(["script", *sorted(lines.items())])
        return cls(name, hashlib.sha256(told.encode()).hexdigest(), lines)

    def reply(self, example: Example, heard: Sequence[Completion]) -> Completion:
        return Completion(self.lines[example.id], "stop", 0, 0)

    def entry(self, saved: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
        raise RunError(f"'{self.name}' is a script, which tests a system and is never saved with one")
