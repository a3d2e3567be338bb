"""The micro pool's world: skills, chains, and what a reader should say."""

import random

import pytest

from hswarm.errors import TaskError
from hswarm.tasks import TaskSettings, load_task, relay
from hswarm.tasks.micro import PLAIN, SKILLS, SLOTS, WORLD, State

SENTENCE = "red cat sings loudly here"


def state(text: str) -> State:
    skills, _, sentence = text.rpartition("on ")
    return State(tuple(skills.split()), tuple(sentence.split()))


DONE = {name: str(state(f"{name} on {SENTENCE}").solved()) for name in SKILLS}


@pytest.mark.parametrize("name", [*SKILLS, *PLAIN])
def test_a_skill_changes_one_place_and_each_of_its_words(name: str) -> None:
    words = SENTENCE.split()
    changed = [
        i
        for i, (a, b) in enumerate(zip(words, str(state(f"{name} on {SENTENCE}").solved()).split(), strict=True))
        if a != b
    ]
    assert len(changed) == 1
    results = set()
    for word in SLOTS[changed[0]]:
        asked = state(f"{name} on {' '.join([*words[: changed[0]], word, *words[changed[0] + 1 :]])}")
        results.add(asked.solved().words[changed[0]])
        assert asked.solved() != State((), asked.words)
    assert results == set(SLOTS[changed[0]])


def test_skills_differ_and_order_matters_where_they_meet() -> None:
    assert len(set(DONE.values())) == len(SKILLS)
    assert (
        state(f"tav ras on {SENTENCE}").solved() != state(f"ras tav on {SENTENCE}").solved()
    )  # both change the colour


QUESTION = f"tav wex on {SENTENCE}"
STEP = f"wex on {DONE['tav']}"
OTHER = "wex on pink owl digs twice above"


@pytest.mark.parametrize(
    ("said", "known", "expected"),
    [
        ([], {"tav"}, STEP),  # does its own step
        ([], {"wex"}, QUESTION),  # hands on what it cannot do
        ([STEP], {"wex"}, str(state(QUESTION).solved())),  # goes on from a helpful response
        ([OTHER], {"tav"}, STEP),  # does its own step again rather than trust it
        (["zor on pink owl digs twice above"], {"tav"}, STEP),  # a response to another question is useless
        ([str(state(QUESTION).solved()), STEP], {"zor"}, str(state(QUESTION).solved())),  # hands on the furthest
        ([STEP, OTHER, STEP], {"zor"}, STEP),  # of several, the most said
        ([STEP, OTHER], {"zor"}, OTHER),  # then the last
    ],
)
def test_what_a_reader_should_say(said: list[str], known: set[str], expected: str) -> None:
    assert str(WORLD.reply(state(QUESTION), [state(text) for text in said], known)) == expected


def test_a_chain_of_the_right_readers_solves_what_none_does_alone() -> None:
    question = state(f"tav wex gul on {SENTENCE}")
    assert question.solved() not in [WORLD.reply(question, [], {skill}) for skill in SKILLS]
    said: list[relay.State] = []
    for skill in ("tav", "wex", "gul"):
        said = [WORLD.reply(question, said, {skill})]
    assert said == [question.solved()]


def test_evaluation_asks_no_sentence_of_a_lesson() -> None:
    rng = random.Random(0)
    asked = {example.question.split("on ", 1)[1] for example in WORLD.generate(["tav", "tav+wex"], 500, 3)}
    taught = {WORLD.lesson({"tav"}, rng, "tav").example.question.split("on ", 1)[1] for _ in range(2000)}
    assert not asked & taught


def test_task_by_settings() -> None:
    task = load_task(TaskSettings(name="micro", datasets=("tav", "tav+wex+gul"), dev=20, test=30))
    assert (len(task.dev), len(task.test)) == (20, 30)
    assert not {e.question for e in task.dev} & {e.question for e in task.test}
    assert all(len(e.question.split(" on ")[0].split()) >= 2 for e in task.dev if e.domain == "tav+wex+gul")


@pytest.mark.parametrize("datasets", [(), ("tov",)])
def test_refusals(datasets: tuple[str, ...]) -> None:
    with pytest.raises(TaskError, match=r"datasets|did you mean 'tav'"):
        WORLD.generate(datasets, 3, 0)
