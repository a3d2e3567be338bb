"""A growth as plain values, and back: every term, where it came from, and what it scored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from hswarm.io import Array
from hswarm.methods.growth.scoreboard import Origin, Scoreboard
from hswarm.methods.growth.terms import Mix, Term
from hswarm.records import Record
from hswarm.session.records import State
from hswarm.tasks.task import Example


class BoardState(Record):
    """A scoreboard less its arrays. Terms are numbers, the places of `terms`: (mix, the terms that it reads); `origins`
    are (term, kind, parent, step); `marked` are the leaders so far and the best of the first graphs."""

    model_config = ConfigDict(strict=False)  # lists stand for tuples

    terms: list[tuple[Mix, tuple[int, ...]]]
    scored: list[int]
    origins: list[tuple[int, str, int | None, str]]
    marked: list[int]
    spent: bool


class GrowthState(State):
    """Where a growth stands, less its arrays."""

    stalled: int
    horizon: int | None = None  # None: all of dev, as in earlier checkpoints
    ended: str
    leaders: int
    ledger: dict[str, int]
    board: BoardState
    experts: dict[str, str] = Field(default_factory=dict)  # of the pool, name -> digest; {} in earlier checkpoints
    order: list[int] = Field(default_factory=list)  # of the dev questions
    questions: str = ""  # the digest of dev

    @model_validator(mode="before")
    @classmethod
    def _from_keys(cls, content: object) -> object:
        """Earlier checkpoints have the board's parts beside the others."""
        flat = isinstance(content, dict) and "board" not in content
        return {**content, "board": content} if flat and isinstance(content, dict) else content


def packed(board: Scoreboard, marked: Sequence[Term]) -> tuple[dict[str, Array], BoardState]:
    """(tensors, state) of all terms with their scores and of the terms `marked`."""
    parents = [origin.parent for origin in board.origins.values() if origin.parent]
    number: dict[Term, int] = {}
    for term in [*board.scores, *board.origins, *parents]:
        for node in term.nodes:
            number.setdefault(node, len(number))
    rows = list(board.scores.values())
    tensors = {
        "growth.scores": np.concatenate([*rows, np.empty(0)]),
        "growth.guides": np.concatenate([*(board.guides[term] for term in board.scores), np.empty(0)]),
        "growth.lengths": np.array([len(row) for row in rows]),
    }
    state = BoardState(
        terms=[(term.mix, tuple(number[u] for u in term.reads)) for term in number],
        scored=[number[term] for term in board.scores],
        origins=[
            (number[term], origin.kind, number[origin.parent] if origin.parent else None, origin.step)
            for term, origin in board.origins.items()
        ],
        marked=[number[term] for term in marked],
        spent=board.spent,
    )
    return tensors, state


def digest_of(dev: Sequence[Example]) -> str:
    """What tells whether two searches ask the same dev questions."""
    told = json.dumps([[one.question, one.answer, sorted(one.choices.items())] for one in dev])
    return hashlib.sha256(told.encode()).hexdigest()


def moved(term: Term, places: Mapping[int, int]) -> Term | None:
    """`term` with its experts at other `places` of a pool; None if one of them is at none."""
    if any(expert not in places for node in term.nodes for expert, _ in node.mix):
        return None
    made: dict[Term, Term] = {}
    for node in term.nodes:
        mix = tuple(sorted((places[expert], share) for expert, share in node.mix))
        made[node] = Term.of(mix, [made[read] for read in node.reads])
    return made[term]


class Unpacked(NamedTuple):
    """What `packed` gave: each term's scores and guides, where terms came from, the terms that were marked."""

    scores: dict[Term, Array]
    guides: dict[Term, Array]
    origins: dict[Term, Origin]
    marked: list[Term]


def unpacked(tensors: Mapping[str, Array], state: BoardState) -> Unpacked:
    """The parts of a checkpoint."""
    terms: list[Term] = []
    for mix, reads in state.terms:
        terms.append(Term.of(mix, [terms[u] for u in reads]))
    ends = np.cumsum(tensors["growth.lengths"])
    known = tensors["growth.scores"]  # which were the guides too when checkpoints had none
    scores, guides = (
        dict(zip((terms[i] for i in state.scored), np.split(values, ends[:-1]), strict=True))
        for values in (known, tensors.get("growth.guides", known))
    )
    origins = {
        terms[i]: Origin(kind, None if parent is None else terms[parent], step)
        for i, kind, parent, step in state.origins
    }
    return Unpacked(scores, guides, origins, [terms[i] for i in state.marked])


def refill(board: Scoreboard, tensors: Mapping[str, Array], state: BoardState) -> list[Term]:
    """Fill an empty `board` with what `packed` gave; the terms that were marked."""
    kept = unpacked(tensors, state)
    for term, scores in kept.scores.items():
        board.add(term, scores, kept.guides[term])
    board.origins |= kept.origins
    board.spent = state.spent
    return kept.marked
