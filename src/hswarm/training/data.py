"""Training data: generated questions, files and hub data sets, as conversations that each end in an answer.

A question with a known answer is presented as a node of a system would read it: alone, with previous responses
some of which are right, or with wrong ones only; so an expert learns when to trust them. A share comes from the other
experts' domains with the right answer among the previous responses: there, it can only copy. Rows that are
conversations already are used verbatim.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from hswarm.errors import TaskError
from hswarm.prompts import Prompts
from hswarm.registry import identifier
from hswarm.tasks import TaskSettings, load_task
from hswarm.tasks.hub import download
from hswarm.tasks.reasoning_gym import generate
from hswarm.tasks.task import Example

TRAIN_SEED = 10_000
RESERVED_SEEDS = range(10)  # questions of these seeds are for evaluation and never trained on
RESERVED = 200  # questions a data set and seed
_FORMS = 'expected {"question", "answer"}, {"prompt", "response"} or {"messages": [{"role", "content"}, ...]}'
_SHOWN = 5  # faults named before "and n more"


@dataclass(frozen=True)
class Domain:
    """One expert and its data, of one kind: `datasets` of reasoning-gym (or of another named `task`) with their
    options, `files` (JSONL), or the `split` of a `hub` data set.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    datasets: tuple[str, ...] = ()
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    steps: int | None = None
    task: str = "reasoning_gym"
    files: tuple[str, ...] = ()
    hub: str = ""
    split: str = "train"

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", identifier(self.task))
        if not re.fullmatch(r"[\w-][\w.-]*", self.name):
            raise ValueError(f"an expert's name is that of its folder (letters, digits, - and _), got {self.name!r}")
        generated = bool(self.datasets) or self.task != "reasoning_gym"
        if generated + bool(self.files) + bool(self.hub) != 1:
            raise ValueError(f"expert '{self.name}' needs data of one kind: datasets, files or hub")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")

    @property
    def generated(self) -> bool:
        """Whether its questions are generated from seeds, in any number."""
        return not self.files and not self.hub

    @property
    def source(self) -> str:
        """Its data in a few words."""
        if self.generated:
            licence = " (Apache-2.0)" if self.task == "reasoning_gym" else ""
            return f"{self.task}{licence} {', '.join(self.datasets)}, options {json.dumps(self.options)}"
        return f"hub data set {self.hub}, split {self.split}" if self.hub else ", ".join(self.files)


class TrainingExample(NamedTuple):
    """A conversation, and the answer to learn."""

    messages: tuple[Mapping[str, str], ...]
    answer: str


class Row(NamedTuple):
    """One entry of a file: a question, or the lessons of a conversation that is used verbatim."""

    example: Example | None
    lessons: tuple[TrainingExample, ...]


class Rows(NamedTuple):
    """The rows of a domain, and the commit of their hub data set ("" for other sources)."""

    rows: list[Row]
    commit: str


class Exercise(NamedTuple):
    """A held-out question: the prompt, and the example against which the reply is scored."""

    prompt: str
    example: Example


class TrainingSet(NamedTuple):
    """All that one expert's training needs. `distinct` counts the rows or questions that lessons are made of.

    `commit`: of the hub data set that they come from.
    """

    lessons: list[TrainingExample]
    validation: list[TrainingExample]
    held_out: list[TrainingExample]
    exercises: list[Exercise]
    distinct: int
    commit: str = ""


def ask(prompt: str, answer: str) -> TrainingExample:
    """The lesson of one prompt."""
    return TrainingExample(({"role": "user", "content": prompt},), answer)


def lesson(
    examples: Sequence[Example], others: Sequence[Example], count: int, elsewhere: float, rng: random.Random
) -> list[tuple[str, str]]:
    """(prompt, answer) pairs in the message format: half alone, a quarter helped, a quarter misled, some off-domain."""
    prompts, pairs = Prompts(), []
    for i in range(count):
        off = bool(others) and rng.random() < elsewhere
        example = rng.choice(others) if off else examples[i % len(examples)]
        wrong = [
            e.answer for e in (others if off else examples) if e.domain == example.domain and e.answer != example.answer
        ]
        draw = 0.6 if off else rng.random()
        previous = rng.sample(wrong, min(len(wrong), rng.randint(0, 2))) if draw >= 0.5 else []
        if 0.5 <= draw < 0.75:
            previous.insert(rng.randint(0, len(previous)), example.answer)
        pairs.append((prompts.render(example, previous), example.answer))
    return pairs


def make(domain: Domain, count: int, seed: int, without: Iterable[str] = ()) -> tuple[Example, ...]:
    """`count` generated questions of a domain, none of `without`."""
    if domain.task == "reasoning_gym":
        return generate(domain.datasets, count, seed, options=domain.options, without=set(without))
    settings = TaskSettings(
        name=domain.task, datasets=domain.datasets, options=domain.options, dev=count, test=0, seed=seed
    )
    known = set(without)
    return tuple(example for example in load_task(settings).dev if example.question not in known)


def plenty(domain: Domain, count: int, without: set[str]) -> tuple[Example, ...]:
    """Up to `count` training questions; a domain with fewer distinct ones gives all of them."""
    while True:
        try:
            return make(domain, count, TRAIN_SEED, without)
        except TaskError:
            if count < 20:
                raise
            count = count * 2 // 3


def reserved(domains: Sequence[Domain]) -> list[Example]:
    """The generated questions that evaluations may ask."""
    return [
        example
        for domain in domains
        if domain.generated
        for seed in RESERVED_SEEDS
        for example in make(domain, RESERVED * max(1, len(domain.datasets)), seed)
    ]


def read_rows(domain: Domain, folder: Path) -> Rows:
    """The rows of a domain's files (relative to `folder`) or hub data set, each prompt once, in order.

    TaskError names the first faults with their places.
    """
    commit = ""
    if domain.hub:
        remedy = f"give expert '{domain.name}' one that has the split '{domain.split}', a folder, or files"
        table, commit = download(domain.hub, remedy, split=domain.split)
        entries = [(f"{domain.hub} row {i}", dict(entry)) for i, entry in enumerate(table)]
    else:
        entries = [entry for name in domain.files for entry in _jsonl(folder / name)]
    faults: list[str] = []
    rows: dict[str, Row] = {}
    for place, entry in entries:
        row = _row(entry, place, domain.name, faults)
        if row is not None:
            key = row.example.question if row.example else json.dumps(row.lessons[0].messages)
            rows.setdefault(key, row)
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise TaskError(f"expert '{domain.name}': {'; '.join(faults[:_SHOWN])}{more}")
    if not rows:
        raise TaskError(f"expert '{domain.name}': {domain.source} holds no rows; {_FORMS}")
    return Rows(list(rows.values()), commit)


def content_digest(domain: Domain, folder: Path) -> str:
    """SHA-256 over a domain's files; "" for data that its name alone determines."""
    whole = hashlib.sha256()
    for name in domain.files:
        try:
            whole.update((folder / name).read_bytes())
        except OSError as fault:
            raise TaskError(f"expert '{domain.name}': {folder / name} cannot be read ({fault.strerror})") from fault
    return whole.hexdigest() if domain.files else ""


def _jsonl(path: Path) -> list[tuple[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # U+2028 and the like may stand inside a text
    except (OSError, UnicodeDecodeError) as fault:
        raise TaskError(f"training data {path} cannot be read: {fault}") from fault
    entries = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                entries.append((f"{path.name} line {number}", json.loads(line)))
            except (ValueError, RecursionError) as fault:
                raise TaskError(f"training data {path}, line {number} is not JSON: {fault}; expected JSONL") from fault
    return entries


def _row(entry: object, place: str, domain: str, faults: list[str]) -> Row | None:
    """The row of one entry, or None with its fault added."""
    if isinstance(entry, dict):
        if _texts(entry, "question", "answer"):
            choices = entry.get("choices") or {}
            choices = {str(letter): str(text) for letter, text in choices.items()} if isinstance(choices, dict) else {}
            return Row(
                Example(
                    place,
                    str(entry["question"]),
                    str(entry["answer"]),
                    choices,
                    domain=str(entry.get("domain") or domain),
                ),
                (),
            )
        if _texts(entry, "prompt", "response"):
            return Row(None, (ask(str(entry["prompt"]), str(entry["response"])),))
        if isinstance(entry.get("messages"), list) and (lessons := _conversation(entry["messages"])):
            return Row(None, lessons)
    keys = f"keys {', '.join(map(str, entry))[:60]}" if isinstance(entry, dict) else type(entry).__name__
    faults.append(f"{place}: {_FORMS}, got {keys}")
    return None


def _texts(entry: Mapping[str, object], *keys: str) -> bool:
    return all(isinstance(entry.get(key), str | int | float) and str(entry[key]).strip() for key in keys)


def _conversation(messages: list[object]) -> tuple[TrainingExample, ...]:
    """One lesson for each assistant turn: all earlier turns, and that turn. () if it is not a chat."""
    turns = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            return ()
        if message.get("role") not in ("system", "user", "assistant"):
            return ()
        turns.append({"role": message["role"], "content": message["content"]})
    return tuple(
        TrainingExample(tuple(turns[:i]), turn["content"])
        for i, turn in enumerate(turns)
        if turn["role"] == "assistant" and i and turn["content"].strip()
    )
