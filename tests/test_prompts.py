"""A question put to a found system reads as one of its task: instruction and worked examples included."""

import json

import hswarm
from hswarm.config.recipe import build_recipe
from hswarm.engines.base import EngineSettings
from hswarm.engines.toy import ToyEngine
from hswarm.prompts import Prompts
from hswarm.tasks.task import Example
from hswarm.tasks.toy import generate

WORKED = "A worked example: two steps and what was done."


def test_worked_examples_go_with_the_system(tmp_path):
    rows = [{"id": e.id, "question": e.question, "answer": e.answer} for e in generate(20, 0, 3)]
    (tmp_path / "task.json").write_text(json.dumps({"dev": rows[:10], "test": rows[10:], "icl_prompt": WORKED}))
    recipe = build_recipe(
        {
            "task": {"path": str(tmp_path / "task.json")},
            "engine": {"name": "toy"},
            "search": {"nodes": 3, "graphs": 2, "assignments": 2, "iterations": 1},
        }
    )
    read = []

    class Reading(ToyEngine):
        def generate(self, requests):
            read.extend(request.prompt for request in requests)
            return super().generate(requests)

    hswarm.search(recipe, tmp_path / "run")
    system = hswarm.load(tmp_path / "run")
    system.respond([rows[0]["question"]], Reading(EngineSettings("toy")))
    assert len(read) == 3
    assert all(prompt.startswith(WORKED) and prompt.count(WORKED) == 1 for prompt in read)
    own = Example("0", rows[0]["question"], "", icl=WORKED)
    assert system.prompts.render(own) == system.prompts.render(Example("0", rows[0]["question"], ""))


def test_a_question_with_its_own_words_keeps_them():
    prompts = Prompts(icl=WORKED)
    assert WORKED not in prompts.render(Example("0", "q", "a", instruction="Judge the answer."))
    assert prompts.render(Example("0", "q", "a", icl="mine")).startswith("mine")


def test_a_question_that_says_so_itself_is_called_one_once():
    assert Prompts().render(Example("0", "Question: Why?", "")) == Prompts().render(Example("0", "Why?", ""))
