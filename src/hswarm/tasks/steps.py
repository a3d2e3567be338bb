"""A world of everyday steps for experts of a real language model: word forms, numerals, units, the clock, the calendar.

"past, plural: 3 pm, run, big, mouse" asks for two steps on a short list, and is answered by "3 pm, ran, big, mice"
(tasks/relay.py says how experts work on it). An answer repeats the whole list, so none can be guessed.
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

ITEMS = 4  # in a list, at least


def _words(text: str) -> list[str]:
    return text.split()


def _pairs(text: str) -> dict[str, str]:
    """ "run ran, see saw" as a table."""
    return dict(pair.strip().split(" ") for pair in text.split(","))


def _both(text: str) -> dict[str, str]:
    """The table that takes each word of a pair to the other."""
    pairs = _pairs(text)
    return pairs | {second: first for first, second in pairs.items()}


def _round(text: str) -> dict[str, str]:
    """The table that takes each word to the next one, the last to the first."""
    words = _words(text)
    return dict(zip(words, words[1:] + words[:1], strict=True))


_NUMBERS = _words(
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty"
)
_NUMERALS = _words("II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX")
_SKILLS: Mapping[str, Mapping[str, str]] = {
    "past": _pairs(
        "run ran, eat ate, see saw, buy bought, sing sang, take took, write wrote, drive drove, swim swam, give gave, "
        "sleep slept, find found, teach taught, fly flew, drink drank, bring brought"
    ),
    "plural": _pairs(
        "mouse mice, child children, foot feet, tooth teeth, goose geese, knife knives, leaf leaves, wolf wolves, "
        "man men, woman women, shelf shelves, berry berries, box boxes, city cities, ox oxen, loaf loaves"
    ),
    "opposite": _both(
        "hot cold, big small, fast slow, old new, hard soft, wet dry, rich poor, full empty, loud quiet, early late"
    ),
    "capital": _pairs(
        "France Paris, Italy Rome, Spain Madrid, Japan Tokyo, Egypt Cairo, Cuba Havana, Kenya Nairobi, Norway Oslo, "
        "Greece Athens, Peru Lima, China Beijing, Russia Moscow, Poland Warsaw, Portugal Lisbon, Ireland Dublin, "
        "Germany Berlin"
    ),
    "partner": _both(
        "uncle aunt, brother sister, son daughter, father mother, nephew niece, king queen, husband wife, "
        "grandfather grandmother"
    ),
    "digits": {word: str(number) for number, word in enumerate(_NUMBERS, 2)},
    "roman": {str(number): numeral for number, numeral in enumerate(_NUMERALS, 2)},
    "clock": {f"{hour} pm": f"{hour + 12}:00" for hour in range(1, 12)},
    "grams": {f"{weight} kg": f"{weight}000 g" for weight in range(2, 21)},
    "next": _round("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
    | _round("January February March April May June July August September October November December"),
}
_PLAIN: Mapping[str, Mapping[str, str]] = {
    "shout": {word: word.upper() for word in _words("red blue green black white pink brown grey")},
    "twice": {word: f"{word} {word}" for word in _words("apple pear plum lemon cherry melon grape peach")},
    "the": {word: f"the {word}" for word in _words("table chair lamp bed desk door window stove")},
    "star": {word: f"*{word}*" for word in _words("north south east west left right up down")},
}
SKILLS = tuple(_SKILLS)
PLAIN = tuple(_PLAIN)


class State(relay.State):
    """Steps still to be done, and the list so far."""

    tables: ClassVar = {**_SKILLS, **_PLAIN}
    joints: ClassVar = (", ", ": ", ", ")


def _list(rng: random.Random, steps: Sequence[str]) -> relay.Words:
    """An item for each step, and of other kinds up to `ITEMS`, in any order; `roman` after `digits` needs none."""
    needed = list(dict.fromkeys(steps))
    if "digits" in steps and "roman" in steps[steps.index("digits") :]:
        needed.remove("roman")
    others = rng.sample([name for name in State.tables if name not in steps], max(0, ITEMS - len(needed)))
    items = [rng.choice(list(State.tables[name])) for name in (*needed, *others)]
    return tuple(rng.sample(items, len(items)))


WORLD = relay.World("steps", State, SKILLS, PLAIN, _list, ready=0.5)


@task("steps", "Everyday steps, and chains of them, on a short list: word forms, numerals, units, clock, calendar")
def steps(settings: TaskSettings) -> Task:
    """Questions of the steps and chains in `datasets`."""
    made = Task("steps", (), (), "exact", source="made by hswarm")
    return generated(made, settings, partial(WORLD.generate, settings.datasets))
