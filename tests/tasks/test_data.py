"""Data in: CSV, Parquet, hub data sets and column mappings give the same examples; several tasks side by side."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hswarm.config.recipe import Recipe, build_recipe, read_recipe
from hswarm.errors import ConfigError, MissingExtra, TaskError
from hswarm.scorers import task_scorer
from hswarm.tasks import TaskSettings, load_task
from hswarm.tasks.formats import read_data

ROWS = [
    {"part": "train", "asked": f"Which letter comes {i}th?", "options": ["first", "second", "third"], "gold": i % 3}
    for i in range(6)
] + [{"part": "held", "asked": "Which is last?", "options": ["a", "b"], "gold": 1}]
MAP: dict[str, str | list[str]] = {"question": "asked", "choices": "options", "answer": "gold", "split": "part"}
SPLITS: dict[str, Any] = {"dev_split": "train", "test_split": "held"}


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_rows(path: Path, rows: Sequence[Any]) -> str:
    if path.suffix == ".csv":
        write_csv(path, [row | {"options": json.dumps(row["options"])} for row in rows])
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return str(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_mapped_table(tmp_path: Path, suffix: str) -> None:
    path = write_rows(tmp_path / f"letters{suffix}", ROWS)
    task = load_task(TaskSettings(path=path, columns=MAP, **SPLITS))
    assert (task.name, task.scorer, len(task.dev), len(task.test)) == ("letters", "choice", 6, 1)
    assert [example.answer for example in task.dev] == list("ABCABC")
    assert task.test[0].choices == {"A": "a", "B": "b"}
    with pytest.raises(TaskError, match=r"has: part, asked.*task\.columns"):
        load_task(TaskSettings(path=path, columns={"split": "part"}, **SPLITS))
    with pytest.raises(TaskError, match=r"split must be 'dev' or 'test', got 'train'.*task\.dev_split"):
        load_task(TaskSettings(path=path, columns=MAP))


def test_other_shapes_of_a_row(tmp_path: Path) -> None:
    rows = [
        {"question": "q0", "A": "x", "B": "y", "answer": "B"},
        {"question": "q1", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answer": "2"},
        {"question": "q2", "choices": ["x", "y"], "answer": "y"},
        {"question": "q3", "answer": True},
        {"question": "q4", "answer": ["Paris", "Paris, France"]},
    ]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    found = read_data(path).splits[""]
    assert [example.answer for example in found] == ["B", "2", "B", "yes", "Paris"]
    assert found[1].choices == {"1": "x", "2": "y"}
    assert [
        s.value
        for s in task_scorer(load_task(TaskSettings(path=path, scorer="exact")))(
            [found[4]] * 2, ["paris, france", "Rome"]
        )
    ] == [1, 0]
    deep = write_rows(tmp_path / "deep.jsonl", [{"question": "q", "answers": {"text": ["a", "b"]}, "w": "x", "v": "y"}])
    (example,) = read_data(deep, {"answer": "answers.text", "context_chunks": ["w", "v"]}).splits[""]
    assert (example.meta["answers"], example.context) == (("a", "b"), ("x", "y"))
    with pytest.raises(TaskError, match="an example has: question"):
        read_data(deep, {"query": "q"})


def test_broken_tables_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises((TaskError, MissingExtra), match=r"bad\.parquet"):
        read_data(tmp_path / "bad.parquet")
    (tmp_path / "empty.csv").write_text("question,answer\n")
    with pytest.raises(TaskError, match=r"empty\.csv has no rows"):
        load_task(TaskSettings(path=str(tmp_path / "empty.csv")))


@pytest.mark.slow
def test_a_hub_data_set_by_folder(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    folder = tmp_path / "letters"
    folder.mkdir()
    write_rows(folder / "train.parquet", ROWS[:6])
    write_rows(folder / "test.parquet", ROWS[:1])
    columns = {key: MAP[key] for key in ("question", "choices", "answer")}
    task = load_task(TaskSettings(hub=str(folder), columns=columns, dev=4))
    assert (task.name, len(task.dev), len(task.test), task.scorer) == ("letters", 4, 1, "choice")
    with pytest.raises(TaskError, match="no split 'valid'"):
        load_task(TaskSettings(hub=str(folder), columns=columns, dev_split="valid"))
    with pytest.raises(TaskError, match="cannot be read"):
        load_task(TaskSettings(hub=str(tmp_path / "nothing")))


def parts(tmp_path: Path, **more: Any) -> Recipe:
    for name, answer, choices in (("sums", "5", None), ("picks", "A", {"A": "x", "B": "y"})):
        entry = {"question": f"{name}?", "answer": answer} | ({"choices": choices} if choices else {})
        (tmp_path / f"{name}.json").write_text(json.dumps({"dev": [entry] * (2 if choices else 1), "test": [entry]}))
    (tmp_path / "mix.toml").write_text(
        "[[task.parts]]\npath = 'sums.json'\nweight = 3\nmax_new_tokens = 7\ninstruction = 'Add.'\n[[task.parts]]\npath = 'picks.json'\n"
    )
    return read_recipe(tmp_path / "mix.toml", [f"task.{key}={value}" for key, value in more.items()])


def test_several_tasks_at_once(tmp_path: Path) -> None:
    recipe = parts(tmp_path)
    assert build_recipe(__import__("tomllib").loads(recipe.to_toml())) == recipe
    task = load_task(recipe.task)
    assert (task.name, len(task.dev), task.max_new_tokens) == ("sums+picks", 3, 50)
    assert [(e.task, e.max_new_tokens, e.instruction) for e in task.dev[:2]] == [("sums", 7, "Add."), ("picks", 50, "")]
    scores = task_scorer(task)(task.dev, ["5", "B", "the answer is A"])
    values = np.array([score.value for score in scores])
    assert values.tolist() == [1, 0, 1]
    assert task.utility(values, task.dev) == pytest.approx((3 * 1 + 1 * 0.5) / 4)
    harmonic = load_task(parts(tmp_path, utility="harmonic").task)
    assert harmonic.utility(values, task.dev) == pytest.approx(4 / (3 / 1 + 1 / 0.5))
    assert harmonic.utility(np.array([0, 1, 1.0]), task.dev) == 0
    assert np.isnan(harmonic.utility(np.array([np.nan, 1, 1]), task.dev))
    with pytest.raises(TaskError, match="a task twice"):
        load_task(TaskSettings(parts=(TaskSettings(name="toy"),) * 2))
    skills = [TaskSettings(name="micro", datasets=(skill,), dev=2, test=1) for skill in ("tav", "wex")]
    both = load_task(TaskSettings(parts=tuple(skills), utility="harmonic"))
    assert both.name == "micro(tav)+micro(wex)"
    right = task_scorer(both)(both.dev, [example.answer for example in both.dev])
    assert both.utility(np.array([score.value for score in right]), both.dev) == 1
    assert both.utility(np.array([1, 1, 0, 0]), both.dev) == 0
    with pytest.raises(TaskError, match="a task twice"):
        load_task(TaskSettings(parts=(skills[0], skills[0])))
    with pytest.raises(ConfigError, match="unknown key 'task.parts"):
        build_recipe({"task": {"parts": [{"nam": "toy"}]}})


def test_an_answer_that_may_be_a_place_or_a_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"question": "?", "choices": ["1", "2", "3", "4"], "answer": "2"}\n')
    with pytest.raises(TaskError, match=r"line 1: answer '2' is the place of C and the text of B; write the letter"):
        read_data(file)


def test_an_empty_choice_between_others_is_refused_and_one_at_the_end_left_out(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("question,A,B,C,answer\n?,x,,z,C\n")
    with pytest.raises(TaskError, match="choice 'B' is empty"):
        read_data(file)
    file.write_text("question,A,B,C,answer\n?,x,y,,B\n")
    (example,) = read_data(file).splits[""]
    assert (dict(example.choices), example.answer) == ({"A": "x", "B": "y"}, "B")
