"""A question put to a found system reads as one of its task: instruction and worked examples included."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hswarm
from hswarm import Topology
from hswarm.config.recipe import build_recipe
from hswarm.engines.base import Completion, EngineSettings, Request
from hswarm.engines.toy import ToyEngine
from hswarm.experts.adapter import Adapter
from hswarm.prompts import Place, Prompts
from hswarm.system.execution import Execution, Plan
from hswarm.system.system import System
from hswarm.tasks.task import Example
from hswarm.tasks.toy import generate

WORKED = "A worked example: two steps and what was done."


def test_worked_examples_go_with_the_system(tmp_path: Path) -> None:
    rows = [{"id": e.id, "question": e.question, "answer": e.answer} for e in generate(20, 0, 3)]
    (tmp_path / "task.json").write_text(json.dumps({"dev": rows[:10], "test": rows[10:], "icl_prompt": WORKED}))
    recipe = build_recipe(
        {
            "task": {"path": str(tmp_path / "task.json")},
            "engine": {"name": "toy"},
            "search": {"method": "hswarm", "nodes": 3, "graphs": 2, "assignments": 2, "iterations": 1},
        }
    )
    read: list[str] = []

    class Reading(ToyEngine):
        def generate(self, requests: Sequence[Request]) -> list[Completion]:
            read.extend(request.prompt for request in requests)
            return super().generate(requests)

    hswarm.search(recipe, tmp_path / "run")
    system = hswarm.load(tmp_path / "run")
    system.respond([rows[0]["question"]], Reading(EngineSettings("toy")))
    assert len(read) == 3
    assert all(prompt.startswith(WORKED) and prompt.count(WORKED) == 1 for prompt in read)
    own = Example("0", rows[0]["question"], "", icl=WORKED)
    assert system.prompts.render(own) == system.prompts.render(Example("0", rows[0]["question"], ""))


def test_a_question_with_its_own_words_keeps_them() -> None:
    prompts = Prompts(icl=WORKED)
    assert WORKED not in prompts.render(Example("0", "q", "a", instruction="Judge the answer."))
    assert prompts.render(Example("0", "q", "a", icl="mine")).startswith("mine")


def test_a_question_that_says_so_itself_is_called_one_once() -> None:
    assert Prompts().render(Example("0", "Question: Why?", "")) == Prompts().render(Example("0", "Why?", ""))


QUESTION = Example("0", "Why?", "")


def test_by_default_all_places_read_the_same() -> None:
    prompts = Prompts()
    assert prompts.render(QUESTION, ["x"], "middle") == prompts.render(QUESTION, ["x"], "sink")
    assert prompts.render(QUESTION, (), "first") == prompts.render(QUESTION, (), "alone")
    assert not prompts.by_place


@pytest.mark.parametrize("style", ["place", "divide"])
@pytest.mark.parametrize("layout", ["paper", "question-first"])
def test_each_place_has_its_instruction_and_responses_are_numbered(style: Any, layout: Any) -> None:
    prompts = Prompts(style=style, layout=layout)
    assert prompts.by_place
    places: tuple[Place, ...] = ("first", "middle", "sink")
    texts = [prompts.render(QUESTION, () if p == "first" else ("yes", "no"), p) for p in places]
    assert len(set(texts)) == 3
    assert all(text.count("Question: Why?") == 1 for text in texts)
    assert "Response 1: yes\nResponse 2: no" in texts[1]
    assert (texts[1].index("Response 1") < texts[1].index("Question: Why?")) == (layout == "paper")
    assert "definite answer" in texts[2]
    assert "definite answer" not in texts[1]


def test_an_expert_alone_is_never_told_to_leave_the_rest() -> None:
    alone = Prompts(style="divide").render(QUESTION)
    assert alone == Prompts(style="place").render(QUESTION)
    assert "rest" not in alone


def test_the_task_s_instruction_stands_beside_the_place_s() -> None:
    prompts = Prompts(style="place", middle="Check the responses.")
    read = prompts.render(Example("0", "Why?", "", instruction="Give a letter."), ["A"], "middle")
    assert "Check the responses. Give a letter.\n\nQuestion: Why?" in read
    assert Prompts(sink="Decide.").by_place


def test_nodes_are_asked_by_their_place() -> None:
    """0 -> 1 -> 3 and 2 -> 3: two nodes without predecessors, one in the middle, the sink."""
    experts = [Adapter.from_vector(f"e{i}", np.zeros(2, dtype=np.float32), None) for i in range(4)]
    system = System(Topology.of(4, [(0, 1), (1, 3), (2, 3)]), tuple(experts), Prompts(style="place"))
    assert Plan(system).places == ("first", "middle", "first", "sink")
    assert Plan(System(Topology.chain(1), tuple(experts[:1]))).places == ("alone",)
    execution = Execution(Plan(system), QUESTION)
    for node in (0, 2, 1):
        execution.tell(node, Completion(f"from {node}", "stop", 0, 0))
    assert execution.request(3).prompt == system.prompts.render(QUESTION, ["from 1", "from 2"], "sink")
    assert execution.request(1).prompt == system.prompts.render(QUESTION, ["from 0"], "middle")


def test_a_system_saved_before_there_were_styles_reads_as_it_did(root: Path) -> None:
    system = hswarm.load(root / "tests/runs/version_1/run")
    assert system.prompts.style == "terse"
    assert not system.prompts.by_place
