"""The twelve named tasks: what is known of them without their data, and data of their format written here."""

import json
from pathlib import Path
from typing import Any

import pytest

from hswarm.cli.main import main
from hswarm.errors import TaskError
from hswarm.prompts import GENERAL, Prompts
from hswarm.scorers.base import scorer
from hswarm.tasks import TaskSettings, load_task
from hswarm.tasks.named import NamedTask
from hswarm.tasks.task import task as room

# (scorer, most new tokens, sizes): arXiv 2502.04510 and the authors' files.
KNOWN = {
    "abkg": ("choice", 50, (50, 120)),
    "com2": ("choice", 50, (317, 1000)),
    "gaia": ("exact", 50, (13, 28)),
    "gsm8k": ("exact", 100, (200, 1000)),
    "knowledge_crosswords": ("choice", 50, (200, 1000)),
    "ltp": ("judge", 200, (20, 50)),
    "mmlu": ("abstain", 100, (200, 1000)),
    "mmlu_pro": ("choice", 50, (70, 1000)),
    "nlgraph": ("exact", 80, (200, 1000)),
    "normad": ("choice", 50, (500, 2000)),
    "qasper": ("judge", 200, (100, 100)),
    "wow": ("choice", 50, None),
}


def write(folder: Path, name: str, **entry: Any) -> None:
    entry = {"question": f"a question of {name}", "answer": "5", "id": "0"} | entry
    (folder / f"{name}.json").write_text(json.dumps({"dev": [entry], "test": [entry], "icl_prompt": "worked"}))


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HSWARM_DATA", raising=False)
    card = room.get(name)
    assert (card.name, card.scorer, card.max_new_tokens, card.sizes) == (name, *KNOWN[name])
    assert card.reference in scorer.parts
    assert main(["tasks", "show", name]) == 0
    shown = capsys.readouterr().out
    for text in (room.about(name).about, card.form, card.instruction, card.source, card.licence, "HSWARM_DATA"):
        assert text in shown


def test_no_other_named_task() -> None:
    assert {name for name in room.parts if isinstance(room.get(name), NamedTask)} == set(KNOWN)


@pytest.mark.parametrize("place", ["file", "folder", "checkout", "environment"])
def test_where_a_task_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    folder = tmp_path / "data" / "eval"
    folder.mkdir(parents=True)
    write(folder, "nlgraph")
    monkeypatch.setenv("HSWARM_DATA", str(folder) if place == "environment" else "/nowhere")
    path = {"file": str(folder / "nlgraph.json"), "folder": str(folder), "checkout": str(tmp_path), "environment": ""}
    task = load_task(TaskSettings(name="nlgraph", path=path[place]))
    assert (task.name, task.scorer, task.max_new_tokens, task.reference) == ("nlgraph", "exact", 80, "reference")
    (example,) = task.dev
    prompt = Prompts().render(example)
    assert prompt.startswith("worked")
    assert task.instruction in prompt
    assert GENERAL not in prompt
    assert Prompts(instruction="Mine.").render(example).startswith("worked\n\nMine.")
    assert Prompts().fitted(task).general == task.instruction


def test_a_task_that_is_not_here_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"gsm8k\.json is not in .*task\.hub = \"openai/gsm8k\""):
        load_task(TaskSettings(name="gsm8k", path=str(tmp_path)))


def test_settings_go_before_what_a_task_knows(tmp_path: Path) -> None:
    write(tmp_path, "gsm8k")
    task = load_task(
        TaskSettings(name="gsm8k", path=str(tmp_path), scorer="token_f1", max_new_tokens=9, instruction="Go.")
    )
    assert (task.scorer, task.max_new_tokens, task.dev[0].instruction) == ("token_f1", 9, "Go.")


def test_show_prints_the_context_that_a_node_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"question": "Why?", "answer": "so", "context_chunks": ["word " * 90, "other"]}]
    (tmp_path / "gaia.json").write_text(json.dumps({"dev": rows, "test": rows}))
    assert main(["tasks", "show", "gaia", "--path", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "Context: word word" in shown
    assert "... (chunk 1 of 2, one a node)" in shown
    assert main(["tasks", "check", str(tmp_path)]) == 2
    assert f"a named task whose files lie there takes it as --path {tmp_path}" in capsys.readouterr().err


def test_check_shows_what_is_doubtful(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "abkg", choices={"A": "x", "B": "y"}, answer="B", context_chunks=["c", ""])
    assert main(["tasks", "check", "abkg", "--path", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    for line in (
        "dev: 1",
        "overlap questions: 1",
        "overlap questions and answers: 1",
        "choices: 2 (2)",
        "chunks: 2 (2)",
        "blank chunks: 2",
        "chance: 0.500",
        "constant: 1.000",
        "most common answers: B (2)",
        "- 1 test questions occur in dev",
        "verdict: warnings",
    ):
        assert line in shown.splitlines()
