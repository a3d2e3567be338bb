"""The micro pool's world: sentences of five words and ten skills that rewrite them, each known by a made-up name.

"tav wex on red cat sings loudly here" asks two of them (tasks/relay.py says how experts work on it). The base learns a
few skills under plain names and to pass on what it cannot do; an expert learns what one made-up name means.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

from hswarm.tasks import relay
from hswarm.tasks.settings import TaskSettings
from hswarm.tasks.splits import generated
from hswarm.tasks.task import Task, task

SLOTS = (
    ("red", "blue", "green", "black", "white", "pink", "gold", "grey"),
    ("cat", "dog", "horse", "crow", "whale", "ant", "fox", "owl"),
    ("sings", "runs", "sleeps", "eats", "swims", "jumps", "waits", "digs"),
    ("loudly", "slowly", "gladly", "badly", "often", "never", "twice", "alone"),
    ("here", "there", "inside", "outside", "above", "below", "nearby", "everywhere"),
)
SKILLS = ("tav", "wex", "zor", "lun", "qib", "ras", "vop", "nix", "gul", "yam")  # made-up: one expert knows each
PLAIN = ("colour", "animal", "action", "manner", "place")  # the base knows these
_PLACES = {name: i % len(SLOTS) for i, name in enumerate((*SKILLS, *PLAIN))}  # which word a skill changes


def _table(name: str) -> Mapping[str, str]:
    """What a skill makes of each word of its place: a cycle through all of them, so that none stays."""
    words = list(SLOTS[_PLACES[name]])
    random.Random(f"micro skill {name}").shuffle(words)
    return dict(zip(words, words[1:] + words[:1], strict=True))


class State(relay.State):
    """Skills still to be done, and the sentence so far."""

    tables: ClassVar = {name: _table(name) for name in _PLACES}
    joints: ClassVar = (" ", " on ", " ")


def _sentence(rng: random.Random, steps: Sequence[str]) -> relay.Words:
    """A word for each place; every skill can be done on it."""
    return tuple(rng.choice(words) for words in SLOTS)


WORLD = relay.World("micro", State, SKILLS, PLAIN, _sentence)


@task("micro", "The micro pool's world: skills, and chains of them, that rewrite a sentence")
def micro(settings: TaskSettings) -> Task:
    """Questions of the skills and chains in `datasets`."""
    made = Task("micro", (), (), "exact", source="made by hswarm")
    return generated(made, settings, partial(WORLD.generate, settings.datasets))
