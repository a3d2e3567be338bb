"""Made-up worlds whose questions name steps, one expert knows each, and experts hand on what is left to do.

"tav wex on red cat ..." names two steps and the words that they are done to. Who knows `tav` does it and says what is
left, "wex on blue cat ..."; who does the last step says the bare words. So a question of one step is answered by the
expert who knows it, and one of several by no expert alone, but by a chain of the right ones in the right order.

A world is its steps, how its words are drawn, and how a state of the work is written (`World`); what experts of any
world learn is `World.lesson`: alone, with helpful previous responses, with useless and with wrong ones.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self
from zlib import crc32

from hswarm.errors import TaskError
from hswarm.registry import near
from hswarm.tasks.task import Example

Words = tuple[str, ...]


@dataclass(frozen=True)
class State:
    """Work on a question: the steps still to be done, in order, and the words so far."""

    tables: ClassVar[Mapping[str, Mapping[str, str]]]  # of each step: what it makes of each word that it changes
    joints: ClassVar[tuple[str, str, str]]  # what stands between steps, between steps and words, between words

    steps: Words
    words: Words

    def __str__(self) -> str:
        between, before, joint = self.joints
        words = joint.join(self.words)
        return f"{between.join(self.steps)}{before}{words}" if self.steps else words

    def after(self) -> Self:
        """The state when the next step is done."""
        name, *rest = self.steps
        table = self.tables[name]
        return type(self)(tuple(rest), tuple(table.get(word, word) for word in self.words))

    def solved(self) -> Self:
        """The state with every step done."""
        state = self
        while state.steps:
            state = state.after()
        return state


class TrainingExample(NamedTuple):
    """What a node reads and what it should say."""

    example: Example
    responses: Words
    reply: str


@dataclass(frozen=True)
class World:
    """`skills` are the steps that one expert knows each, `plain` those that all know.

    `draw` gives words on which the steps named can be done. In a share `ready` of the lessons with messages in which a
    reader's own step is asked, the furthest message leaves it to be done next.
    """

    name: str
    state: type[State]
    skills: Words
    plain: Words
    draw: Callable[[random.Random, Sequence[str]], Words]
    ready: float = 0.0

    def generate(
        self, datasets: Sequence[str], count: int, seed: int, *, without: Collection[str] = ()
    ) -> tuple[Example, ...]:
        """`count` distinct examples, the data sets in turn; none whose question is in `without`.

        A data set is a step ("tav"), or a chain of them ("tav+wex+zor"): its questions name two or more of them, in
        that order. No words in them occur in a lesson.
        """
        if not datasets:
            first, second, *_ = self.skills
            raise TaskError(f'task \'{self.name}\' needs data sets: task.datasets = ["{first}", "{first}+{second}"]')
        chains = [tuple(name.split("+")) for name in datasets]
        for step in (step for chain in chains for step in chain):
            if step not in self.state.tables:
                raise TaskError(f"no {self.name} skill '{step}'{near(step, self.state.tables)}")
        rng, seen = random.Random(f"{self.name}/{seed}"), set(without)
        examples: list[Example] = []
        while len(examples) < count:
            name, chain = datasets[len(examples) % len(datasets)], chains[len(examples) % len(datasets)]
            state = self._drawn(_part(chain, rng), rng, lesson=False)
            if str(state) not in seen:
                seen.add(str(state))
                identity = f"{name}-{seed}-{len(examples)}"
                examples.append(Example(identity, str(state), str(state.solved()), domain=name))
        return tuple(examples)

    def lesson(self, known: Collection[str], rng: random.Random, focus: str = "") -> TrainingExample:
        """One lesson for a reader who knows the steps `known` beside the plain ones.

        `focus` occurs in two thirds of the lessons. Half of them are asked alone.
        """
        names = rng.sample(self.skills if focus else [*self.skills, *self.plain], rng.choice((1, 1, 2, 2, 3)))
        if focus and focus not in names and rng.random() < 0.6:
            names[rng.randrange(len(names))] = focus
        question = self._drawn(tuple(names), rng, lesson=True)
        count = 0 if rng.random() < 0.5 else rng.choice((1, 1, 1, 2, 2, 3, 4))
        said = self._responses(question, count, rng, focus)
        example = Example("lesson", str(question), str(question.solved()))
        return TrainingExample(example, tuple(map(str, said)), str(self.reply(question, said, known)))

    def reply(self, question: State, said: Sequence[State], known: Collection[str]) -> State:
        """What a reader should say: one step further than others if it can do that step, else the furthest passed on.

        What others say counts only if its steps are the end of the question's. A reader who can do the step that led to
        the furthest does it again rather than trust it. Of several, the one said most, then the last, is passed on.
        """
        known = {*self.plain, *known}
        states = [question, *(s for s in said if len(s.steps) < len(question.steps) and _fits(question, s))]
        least = min(len(state.steps) for state in states)
        furthest = _agreed([state for state in states if len(state.steps) == least])
        if furthest.steps and furthest.steps[0] in known:
            return furthest.after()
        before = [state for state in states if len(state.steps) == least + 1]
        if before and before[0].steps[0] in known:
            return _agreed(before).after()
        return furthest

    def _drawn(self, steps: Words, rng: random.Random, *, lesson: bool) -> State:
        """The steps on drawn words. One choice of words in five is never in a lesson: those are for evaluation."""
        while True:
            words = self.draw(rng, steps)
            if (crc32(" ".join(words).encode()) % 5 > 0) == lesson:
                return self.state(steps, words)

    def _responses(self, question: State, count: int, rng: random.Random, focus: str) -> list[State]:
        """Helpful, useless and wrong responses to `question`; `ready` says how often they lead to `focus`."""
        reached = [question]
        while reached[-1].steps:
            reached.append(reached[-1].after())
        furthest = rng.randrange(len(reached))  # so that the next step is often still to be done
        if self.ready and focus in question.steps and rng.random() < self.ready:
            furthest = question.steps.index(focus)
        said = []
        for _ in range(count):
            state = reached[furthest] if rng.random() < 0.5 else reached[rng.randint(0, furthest)]
            kind = rng.random()
            if kind < 0.12:
                state = self._drawn(state.steps, rng, lesson=True)
            elif kind < 0.2:
                steps = rng.sample([*self.skills, *self.plain], rng.choice((1, 2, 3)))
                state = self._drawn(tuple(steps), rng, lesson=True)
            said.append(state)
        return said


def _part(chain: Words, rng: random.Random) -> Words:
    """Two or more of a chain, in its order; the one step of a chain of one."""
    size = rng.randint(min(2, len(chain)), len(chain))
    return tuple(chain[i] for i in sorted(rng.sample(range(len(chain)), size)))


def _fits(question: State, state: State) -> bool:
    return question.steps[len(question.steps) - len(state.steps) :] == state.steps


def _agreed(states: Sequence[State]) -> State:
    counts = Counter(states)
    return max(reversed(states), key=lambda state: counts[state])
