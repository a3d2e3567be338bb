"""Training data: three forms of rows, files and hub data sets, faults by their place; nothing held out is trained on."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hswarm.errors import TaskError
from hswarm.training.data import Domain, TrainingExample, ask, make, read_rows
from hswarm.training.train import TrainSettings, _course, _exercise, _mark, read_train_recipe
from tests.experts.hub import COMMIT, hub
from tests.known import known

CHAT = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "2 + 2?"},
    {"role": "assistant", "content": "4"},
]


def jsonl(path: Path, rows: Any) -> Any:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path.name


def settings(*domains: Any, **changes: Any) -> TrainSettings:
    usual: dict[str, Any] = {"base": "b", "out": "o", "steps": 5, "batch": 4, "held_out": 4}
    return TrainSettings(**usual | changes, experts=domains)


def test_three_forms_of_rows(tmp_path: Path) -> None:
    name = jsonl(
        tmp_path / "a.jsonl",
        [
            {"question": "1 + 1?", "answer": 2, "choices": {"A": "two"}, "domain": "sums"},
            {"prompt": "Say a word.", "response": "word"},
            {"messages": CHAT},
            {"prompt": "Say a word.", "response": "another"},
        ],
    )
    question, prompt, chat = read_rows(Domain("d", files=(name,)), tmp_path).rows
    example = known(question.example)
    assert (example.question, example.answer, example.domain) == ("1 + 1?", "2", "sums")
    assert prompt.lessons == (ask("Say a word.", "word"),)
    assert chat.lessons == (TrainingExample(tuple(CHAT[:2]), "Hello"), TrainingExample(tuple(CHAT[:4]), "4"))
    assert known(_exercise(prompt)).prompt == "Say a word."
    assert _exercise(chat) is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "x"}, "line 2: expected .* got keys text"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "line 2: expected"),
        ({"messages": [{"role": "user", "content": "x"}]}, "line 2: expected"),
        ({"prompt": "x", "response": " "}, "line 2"),
        (["x"], "got list"),
    ],
)
def test_rows_that_are_none_of_them_are_named(
    tmp_path: Path, row: Sequence[str] | dict[str, Any], message: str
) -> None:
    name = jsonl(tmp_path / "a.jsonl", [{"prompt": "a", "response": "b"}, row])
    with pytest.raises(TaskError, match=message):
        read_rows(Domain("d", files=(name,)), tmp_path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{")
    (tmp_path / "none.jsonl").write_text("\n")
    for name, message in (("bad.jsonl", "line 1 is not JSON"), ("none.jsonl", "no rows"), ("gone", "cannot be read")):
        with pytest.raises(TaskError, match=message):
            read_rows(Domain("d", files=(name,)), tmp_path)


@pytest.mark.parametrize("changes", [{}, {"files": ("a",), "hub": "b"}, {"datasets": ("a",), "files": ("b",)}])
def test_data_of_one_kind(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs data of one kind"):
        Domain("d", **changes)


def test_nothing_held_out_is_trained_on(tmp_path: Path) -> None:
    rows = [{"question": f"q{i}?", "answer": f"a{i}"} for i in range(20)]
    rows += [{"prompt": f"p{i}", "response": f"r{i}"} for i in range(20)]
    domain = Domain("d", files=(jsonl(tmp_path / "a.jsonl", rows),), steps=30)
    course = _course(settings(domain, early_stop=2, validation=6, held_out=8), domain, tmp_path)
    asked = [one.messages[0]["content"] for one in (*course.held_out, *course.validation)]
    assert (len(asked), len(set(asked)), len(course.exercises), course.distinct) == (14, 14, 8, 26)
    assert len(course.lessons) == 120
    taught = "\n".join(one.messages[0]["content"] for one in course.lessons)
    for text in asked:
        core = text.split("Question: ")[-1]
        assert f"Question: {core}\n" not in taught + "\n"
        assert core not in {one.messages[0]["content"] for one in course.lessons}
    assert "Answers given by others" in taught  # questions become lessons in listening, prompts stay word for word
    assert {one.messages[0]["content"] for one in course.lessons} >= {f"p{i}" for i in range(20)} - set(asked)


def test_too_few_rows(tmp_path: Path) -> None:
    domain = Domain("d", files=(jsonl(tmp_path / "a.jsonl", [{"prompt": "a", "response": "b"}] * 9),))
    with pytest.raises(TaskError, match="has 1 distinct rows, 4 would be held out"):
        _course(settings(domain), domain, tmp_path)


def test_several_files_are_one_domain(tmp_path: Path) -> None:
    names = [jsonl(tmp_path / f"{c}.jsonl", [{"prompt": f"{c}{i}", "response": "x"} for i in range(5)]) for c in "ab"]
    assert len(read_rows(Domain("d", files=tuple(names)), tmp_path).rows) == 10


def test_a_hub_data_set_or_a_folder_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "set").mkdir()
    jsonl(tmp_path / "set/train.jsonl", [{"prompt": f"p{i}", "response": f"r{i}"} for i in range(3)])
    (tmp_path / "chats").mkdir()
    jsonl(tmp_path / "chats/test.jsonl", [{"messages": CHAT}])
    assert [row.lessons[0].answer for row in read_rows(Domain("d", hub=str(tmp_path / "set")), tmp_path).rows] == [
        "r0",
        "r1",
        "r2",
    ]
    assert len(read_rows(Domain("d", hub=str(tmp_path / "chats"), split="test"), tmp_path).rows[0].lessons) == 2
    with pytest.raises(TaskError, match="data set .* cannot be read .* has the split 'none'"):
        read_rows(Domain("d", hub=str(tmp_path / "set"), split="none"), tmp_path)


_CARD = """
import sys
from pathlib import Path
from hswarm.training.train import Quality, _card, _course, read_train_recipe


settings = read_train_recipe(Path(sys.argv[1]))
for domain in settings.experts:
    course = _course(settings, domain, Path())
    print(_card(settings, domain, "mark", course, settings.steps, Quality(2.0), Quality(1.0)))
"""


@pytest.mark.parametrize("pinned", [False, True])
def test_a_data_set_that_is_not_pinned_is_warned_about_once_and_its_commit_is_on_the_card(
    tmp_path: Path, pinned: bool
) -> None:
    pytest.importorskip("datasets")
    name = f"own/set@{COMMIT}" if pinned else "own/set"
    two = "".join(f"[[experts]]\nname = '{expert}'\nhub = '{name}'\n" for expert in ("one", "two"))
    (tmp_path / "pool.toml").write_text(f"base = 'b'\nout = 'o'\nsteps = 5\nheld_out = 4\n{two}")
    with hub(tmp_path / "home") as found:
        made = subprocess.run(
            [sys.executable, "-c", _CARD, str(tmp_path / "pool.toml")],
            env=os.environ | found,
            capture_output=True,
            text=True,
            check=True,
        )
    assert made.stdout.count(f"data: hub data set {name}, split train, commit {COMMIT},\n  36 distinct") == 2
    said = f"warning: 'own/set' was downloaded from the hub in its current version; 'own/set@{COMMIT}' in the recipe"
    assert made.stderr.count(said) == (0 if pinned else 1)


def test_questions_of_another_named_task() -> None:
    found = make(Domain("d", task="toy", options={"toy": {"steps": 3}}), 5, 1)
    assert len(found) == 5
    assert found[0].question.startswith("toy 1.0")


def test_a_mark_follows_what_weights_depend_on_alone(tmp_path: Path) -> None:
    domain = Domain("d", files=(jsonl(tmp_path / "a.jsonl", [{"prompt": "a", "response": "b"}]),))
    mark = _mark(settings(domain), domain, tmp_path)
    assert _mark(settings(domain, license="mit", scorer="", max_new_tokens=3), domain, tmp_path) == mark
    assert _mark(settings(domain, early_stop=1), domain, tmp_path) != mark
    jsonl(tmp_path / "a.jsonl", [{"prompt": "a", "response": "c"}])
    assert _mark(settings(domain), domain, tmp_path) != mark


@pytest.mark.parametrize("name", ["smollm2-pool", "smollm2-more", "smollm2-names"])
def test_the_starter_pool_is_finished(root: Path, name: str) -> None:
    recipe = root / f"recipes/{name}.toml"
    found = read_train_recipe(recipe)
    for domain in found.experts:
        card = (recipe.parent / found.out / domain.name / "README.md").read_text()
        assert _mark(found, domain, recipe.parent) in card
