"""A task: questions with known answers, in a dev split that is searched and a test split that is looked at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Example:
    """One question. `choices` maps letters to texts; `context` is one chunk a node; `meta` is for verifiers."""

    id: str
    question: str
    answer: str
    choices: Mapping[str, str] = field(default_factory=dict)
    context: tuple[str, ...] = ()
    domain: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A named pair of splits with the scorer and answer length that go with it."""

    name: str
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    scorer: str
    max_new_tokens: int = 50
    icl_prompt: str = ""
    source: str = ""
