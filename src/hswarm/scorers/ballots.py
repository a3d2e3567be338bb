"""Which replies give the same answer, by the extraction and equality of the scorers, without knowing the right one."""

from __future__ import annotations

from collections.abc import Sequence

from hswarm.patterns import last_match
from hswarm.prompts import spoken
from hswarm.scorers.choice import stated_letter
from hswarm.scorers.equality import same
from hswarm.scorers.exact import stated_answer
from hswarm.scorers.quantity import quantity
from hswarm.tasks.task import Example

_KINDS = ("0", "yes", "true")  # what a right answer may be like: a number, one of two words


def ballots(example: Example, replies: Sequence[str]) -> list[str]:
    """The answer of each reply, "" where it gives none; replies that give the same one have equal texts.

    Replies are read as numbers, or as yes and no, where one is nothing else and all can be read so.
    """
    said = [spoken(reply, example.question) for reply in replies]
    if example.choices:
        return [stated_letter(reply, example) or "" for reply in said]
    found: list[str] = []
    for answer in _stated(example, said):
        found.append(next((one for one in found if one and answer and same(answer, one)), answer))
    return found


def _stated(example: Example, replies: Sequence[str]) -> list[str]:
    if pattern := example.meta.get("pattern"):
        return [last_match(pattern, reply) or "" for reply in replies]
    plainly = [stated_answer(reply, "") or "" for reply in replies]
    for kind in _KINDS:
        read = [stated_answer(reply, kind) if reply.strip() else "" for reply in replies]
        if None not in read and any(_is(answer, kind) for answer in plainly):
            return [answer or "" for answer in read]
    return plainly


def _is(answer: str, kind: str) -> bool:
    if kind == "0":
        return quantity(answer) is not None
    return answer.lower().strip(".! ") in {"yes": ("yes", "no"), "true": ("true", "false")}[kind]
