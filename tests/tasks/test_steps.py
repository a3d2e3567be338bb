"""The world of everyday steps: right words, chains of the right readers, nothing to guess, no question of a lesson."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hswarm.config.recipe import read_recipe
from hswarm.errors import TaskError
from hswarm.tasks import TaskSettings, load_task, relay
from hswarm.tasks.steps import PLAIN, SKILLS, WORLD, State


@pytest.mark.parametrize(
    ("steps", "words", "answer"),
    [
        ("past, plural", "3 pm, run, big, mouse", "3 pm, ran, big, mice"),
        ("digits, roman", "fourteen, 3 pm, run", "XIV, 3 pm, run"),
        ("clock, grams", "11 pm, 20 kg", "23:00, 20000 g"),
        ("next", "Sunday, hot, uncle", "Monday, hot, uncle"),
        ("next", "December, hot, uncle", "January, hot, uncle"),
        ("opposite, partner", "cold, niece", "hot, nephew"),
        ("capital", "Kenya, ox", "Nairobi, ox"),
    ],
)
def test_what_steps_make_of_a_list(steps: str, words: str, answer: str) -> None:
    state = State(tuple(steps.split(", ")), tuple(words.split(", ")))
    assert str(state) == f"{steps}: {words}"
    assert str(state.solved()) == answer


def test_each_step_changes_words_of_its_own_and_every_one_of_them() -> None:
    words = Counter(word for table in State.tables.values() for word in table)
    assert set(words.values()) == {1}
    assert all(word != made for table in State.tables.values() for word, made in table.items())


@pytest.mark.parametrize("name", [*SKILLS, *PLAIN])
def test_a_question_holds_what_its_step_is_done_to(name: str) -> None:
    for example in WORLD.generate([name], 60, 3):
        words = example.question.removeprefix(f"{name}: ").split(", ")
        assert len(words) == 4
        assert sum(word in State.tables[name] for word in words) == 1
        assert example.answer != ", ".join(words)


def test_a_chain_of_the_right_readers_solves_what_none_does_alone() -> None:
    question = State(("digits", "roman", "clock"), ("twelve", "2 pm", "red"))
    said: list[relay.State] = []
    assert question.solved() not in [WORLD.reply(question, said, {skill}) for skill in SKILLS]
    for skill in question.steps:
        said = [WORLD.reply(question, said, {skill})]
    assert said == [question.solved()]


def test_no_answer_can_be_guessed() -> None:
    answers = Counter(example.answer for example in WORLD.generate(["next", "clock+roman"], 400, 5))
    assert max(answers.values()) <= 2


def test_evaluation_asks_no_list_of_a_lesson() -> None:
    rng = random.Random(0)
    asked = {example.question.split(": ")[1] for example in WORLD.generate(["past", "past+next+grams"], 500, 3)}
    taught = {WORLD.lesson({"past"}, rng, "past").example.question.rsplit(": ")[-1] for _ in range(2000)}
    assert not asked & taught


def test_task_by_settings() -> None:
    task = load_task(TaskSettings(name="steps", datasets=("past", "past+next+grams"), dev=20, test=30))
    assert (len(task.dev), len(task.test), task.scorer) == (20, 30, "exact")
    assert not {e.question for e in task.dev} & {e.question for e in task.test}


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(TaskError, match="no steps skill 'pasts'.*did you mean 'past'"):
        WORLD.generate(["pasts"], 3, 0)


def test_the_protocols_tasks_are_what_it_says(root: Path) -> None:
    recipes = {path.stem: read_recipe(path) for path in (root / "recipes/steps-tasks").glob("*.toml")}
    kinds = Counter(name.split("-")[0] for name in recipes)
    assert kinds == {"plain": 4, "mixed": 4, "chain": 4}
    held = {path.stem: read_recipe(path) for path in (root / "recipes/steps-held-out").glob("*.toml")}
    asked = {chain for recipe in recipes.values() for chain in recipe.task.datasets if "+" in chain}
    assert not asked & {chain for recipe in held.values() for chain in recipe.task.datasets}
    for name, recipe in {**recipes, **held}.items():
        task = load_task(recipe.task)
        answers = Counter(example.answer for example in (*task.dev, *task.test))
        assert (len(task.dev), len(task.test)) == (200, 1000), name
        assert not {e.question for e in task.dev} & {e.question for e in task.test}
        assert max(answers.values()) <= 12, name  # of 1,200


def test_lessons_often_leave_the_readers_own_step_to_be_done_next() -> None:
    def led(world: relay.World) -> float:
        rng = random.Random(0)
        lessons = [world.lesson({"past"}, rng, "past") for _ in range(4000)]
        later = [one for one in lessons if ", past" in one.example.question and one.responses]
        return sum(any(text.startswith("past") for text in one.responses) for one in later) / len(later)

    assert led(WORLD) > led(replace(WORLD, ready=0.0)) + 0.15
