"""The micro pool's world: sentences of five words and ten skills that rewrite them, each known by a made-up name.

A question names skills and a sentence, "tav wex on red cat sings loudly here"; whoever knows `tav` does that step and
says what is left, "wex on blue cat sings loudly here", and whoever does the last one says the bare sentence. So a
question of one skill is answered by the one expert who knows it, and a question of several by no expert alone, but by a
chain of the right ones in the right order.

The base learns a few skills under plain names and to pass on what it cannot do; an expert learns what one made-up name
means. `lesson` makes what they learn from, in the message format: alone, with helpful previous responses, with useless
and with wrong ones.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple
from zlib import crc32

from hswarm.errors import TaskError
from hswarm.registry import near
from hswarm.tasks.settings import TaskSettings
from hswarm.tasks.splits import generated
from hswarm.tasks.task import Example, Task, task

Sentence = tuple[str, ...]
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


_TABLES = {name: _table(name) for name in _PLACES}


class State(NamedTuple):
    """Work on a question: the skills still to be done, and the sentence so far."""

    skills: tuple[str, ...]
    sentence: Sentence

    def __str__(self) -> str:
        sentence = " ".join(self.sentence)
        return f"{' '.join(self.skills)} on {sentence}" if self.skills else sentence

    def after(self) -> State:
        """The state when the next skill is done."""
        name, *rest = self.skills
        place = _PLACES[name]
        changed = _TABLES[name][self.sentence[place]]
        return State(tuple(rest), (*self.sentence[:place], changed, *self.sentence[place + 1 :]))


@task("micro", "The micro pool's world: skills, and chains of them, that rewrite a sentence")
def micro(settings: TaskSettings) -> Task:
    """Questions of the skills and chains in `datasets`."""
    made = Task("micro", (), (), "exact", source="made by hswarm")
    return generated(made, settings, partial(generate, settings.datasets))


def generate(datasets: Sequence[str], count: int, seed: int, *, without: Collection[str] = ()) -> tuple[Example, ...]:
    """`count` distinct examples, the data sets in turn; none whose question is in `without`.

    A data set is a skill ("tav"), or a chain of them ("tav+wex+zor"): its questions name two or more of them, in that
    order. No sentence in them occurs in a lesson.
    """
    if not datasets:
        raise TaskError('task \'micro\' needs data sets: task.datasets = ["tav", "tav+wex"]')
    chains = [tuple(name.split("+")) for name in datasets]
    for skill in (skill for chain in chains for skill in chain):
        if skill not in _PLACES:
            raise TaskError(f"no micro skill '{skill}'{near(skill, _PLACES)}")
    rng, seen = random.Random(f"micro/{seed}"), set(without)
    examples: list[Example] = []
    while len(examples) < count:
        name, chain = datasets[len(examples) % len(datasets)], chains[len(examples) % len(datasets)]
        state = State(_part(chain, rng), _sentence(rng, lesson=False))
        if str(state) not in seen:
            seen.add(str(state))
            identity = f"{name}-{seed}-{len(examples)}"
            examples.append(Example(identity, str(state), str(solve(state)), domain=name))
    return tuple(examples)


def solve(state: State) -> State:
    """The state with every skill done."""
    while state.skills:
        state = state.after()
    return state


def _part(chain: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    """Two or more of a chain, in its order; the one skill of a chain of one."""
    size = rng.randint(min(2, len(chain)), len(chain))
    return tuple(chain[i] for i in sorted(rng.sample(range(len(chain)), size)))


def _sentence(rng: random.Random, *, lesson: bool) -> Sentence:
    """A word for each place. One sentence in five is never in a lesson: those are for evaluation."""
    while True:
        sentence = tuple(rng.choice(words) for words in SLOTS)
        if (crc32(" ".join(sentence).encode()) % 5 > 0) == lesson:
            return sentence


class TrainingExample(NamedTuple):
    """What a node reads and what it should say."""

    example: Example
    responses: tuple[str, ...]
    reply: str


def lesson(known: Collection[str], rng: random.Random, focus: str = "") -> TrainingExample:
    """One lesson for a reader who knows the skills `known` beside the plain ones.

    `focus` occurs in two thirds of the lessons. Half of them are asked alone.
    """
    names = rng.sample(SKILLS if focus else list(_PLACES), rng.choice((1, 1, 2, 2, 3)))
    if focus and focus not in names and rng.random() < 0.6:
        names[rng.randrange(len(names))] = focus
    question = State(tuple(names), _sentence(rng, lesson=True))
    count = 0 if rng.random() < 0.5 else rng.choice((1, 1, 1, 2, 2, 3, 4))
    said = _responses(question, count, rng)
    example = Example("lesson", str(question), str(solve(question)))
    return TrainingExample(example, tuple(map(str, said)), str(reply(question, said, {*PLAIN, *known})))


def reply(question: State, said: Sequence[State], known: Collection[str]) -> State:
    """What a reader should say: one step further than others if it can do that step, else the furthest passed on.

    What others say counts only if its skills are the end of the question's. A reader who can do the step that led to
    the furthest does it again rather than trust it. Of several, the one said most, then the last, is passed on.
    """
    states = [question, *(s for s in said if len(s.skills) < len(question.skills) and _fits(question, s))]
    least = min(len(state.skills) for state in states)
    furthest = _agreed([state for state in states if len(state.skills) == least])
    if furthest.skills and furthest.skills[0] in known:
        return furthest.after()
    before = [state for state in states if len(state.skills) == least + 1]
    if before and before[0].skills[0] in known:
        return _agreed(before).after()
    return furthest


def _fits(question: State, state: State) -> bool:
    return question.skills[len(question.skills) - len(state.skills) :] == state.skills


def _agreed(states: Sequence[State]) -> State:
    counts = Counter(states)
    return max(reversed(states), key=lambda state: counts[state])


def _responses(question: State, count: int, rng: random.Random) -> list[State]:
    """Helpful, useless and wrong responses to `question`."""
    steps = [question]
    while steps[-1].skills:
        steps.append(steps[-1].after())
    reached = rng.randrange(len(steps))  # so that the next step is often still to be done
    said = []
    for _ in range(count):
        state = steps[reached] if rng.random() < 0.5 else steps[rng.randint(0, reached)]
        kind = rng.random()
        if kind < 0.12:
            state = State(state.skills, _sentence(rng, lesson=True))
        elif kind < 0.2:
            state = State(tuple(rng.sample(list(_PLACES), rng.choice((1, 2, 3)))), _sentence(rng, lesson=True))
        said.append(state)
    return said
