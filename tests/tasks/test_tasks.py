"""Tasks: files read strictly, splits by seed, generators that repeat themselves and never overlap."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hswarm.errors import TaskError
from hswarm.tasks import TaskSettings, load_task
from hswarm.tasks.check import check_task
from hswarm.tasks.formats import read_data
from hswarm.tasks.task import task as named
from hswarm.tasks.toy import planted_order


def entries(count: int, start: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [{"question": f"q{i}", "answer": f"a{i}", "id": i, **more} for i in range(start, start + count)]


def write(folder: Path, content: dict[str, Any] | str, name: str = "task.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_field_json(tmp_path: Path) -> None:
    choices = {"A": "x", "B": "y"}
    dev = [
        {"question": "q", "answer": "A", "choices": choices, "context_chunks": ["c1", "c2"], "domain": "d", "id": "7"}
    ]
    path = write(tmp_path, {"dev": dev, "test": entries(2), "icl_prompt": "For example"})
    data = read_data(path)
    (example,) = data.splits["dev"]
    assert (example.id, example.answer, example.choices, example.context, example.domain) == (
        "7",
        "A",
        choices,
        ("c1", "c2"),
        "d",
    )
    assert example.icl == "For example"
    task = load_task(TaskSettings(path=str(path)))
    assert (task.name, task.scorer, len(task.test)) == ("task", "exact", 2)


def test_choices_everywhere_take_the_choice_scorer(tmp_path: Path) -> None:
    one = [{"question": "q", "answer": "A", "choices": {"A": "x", "B": "y"}}]
    assert load_task(TaskSettings(path=str(write(tmp_path, {"dev": one, "test": one})))).scorer == "choice"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", ["not JSON"]),
        ("[" * 100_000, ["not JSON"]),
        ({"test": []}, ['"dev": [...]', "test"]),
        ("3", ['expected {"dev"']),
        (
            {"dev": [{"question": "q"}, 5, {"answer": "a"}]},
            ["dev[0] has no 'answer'", "dev[1] is int", "dev[2] has no 'question'"],
        ),
        ({"dev": [{"question": "q", "answer": "Z", "choices": {"A": "x"}}]}, ["'Z' is none of the choices A"]),
        ({"dev": [{"question": "q", "answer": "a", "context_chunks": "text"}]}, ["context_chunks must be a list"]),
        (
            {"dev": [{"question": "q", "answer": "a", "context_chunks": ["x", None, {}]}]},
            ["context_chunks[1] must be text, got nothing"],
        ),
        ({"dev": [{}] * 9}, ["and 13 more"]),
        ({"dev": []}, ["no dev questions"]),
    ],
)
def test_faults_are_named_together(tmp_path: Path, content: dict[str, Any] | str, words: list[str]) -> None:
    with pytest.raises(TaskError) as caught:
        load_task(TaskSettings(path=str(write(tmp_path, content))))
    for word in words:
        assert word in str(caught.value)


def test_jsonl_with_and_without_splits(tmp_path: Path) -> None:
    plain = write(tmp_path, "\n".join(map(json.dumps, entries(30))), "plain.jsonl")
    one, again = (load_task(TaskSettings(path=str(plain), dev=10, seed=3)) for _ in range(2))
    assert (len(one.dev), len(one.test)) == (10, 20)
    assert one == again
    assert one.dev != load_task(TaskSettings(path=str(plain), dev=10, seed=4)).dev
    assert check_task(one).overlap_questions == 0
    lines = [entry | {"split": "dev" if i < 3 else "test"} for i, entry in enumerate(entries(8))]
    split = load_task(TaskSettings(path=str(write(tmp_path, "\n".join(map(json.dumps, lines)), "split.jsonl"))))
    assert (len(split.dev), len(split.test)) == (3, 5)
    marked = tmp_path / "plain.ndjson"
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())  # as some editors write it
    assert load_task(TaskSettings(path=str(marked), dev=10, seed=3)).dev == one.dev
    with pytest.raises(TaskError, match=r"ends in \.json, .*\.parquet; rename or convert it"):
        read_data(plain.rename(tmp_path / "plain.json.gz"))
    with pytest.raises(TaskError, match="line 2 is not JSON"):
        read_data(write(tmp_path, '{"question": "q", "answer": "a"}\n{', "bad.jsonl"))


def test_a_sample_is_not_the_head_and_not_more_than_there_is(tmp_path: Path) -> None:
    path = str(write(tmp_path, {"dev": entries(100), "test": entries(50, 100)}))
    task = load_task(TaskSettings(path=path, dev=20, test=0))
    assert task.test == ()
    assert [example.question for example in task.dev] != [f"q{i}" for i in range(20)]
    with pytest.raises(TaskError, match="has 50 questions, 51 were asked for"):
        load_task(TaskSettings(path=path, test=51))


def test_name_or_path() -> None:
    with pytest.raises(TaskError, match="one of them"):
        load_task(TaskSettings())


def test_overlap_and_duplicates_are_counted(tmp_path: Path) -> None:
    dev = [{"question": "same", "answer": "A", "choices": {"A": "x", "B": "y"}}] * 2
    test = [
        {"question": "same", "answer": "B", "choices": {"A": "y", "B": "x"}},
        {"question": "same", "answer": "A", "choices": {"A": "z", "B": "x"}},
    ]
    found = check_task(load_task(TaskSettings(path=str(write(tmp_path, {"dev": dev, "test": test})))))
    assert (found.duplicates_dev, found.overlap_questions, found.overlap_questions_and_answers) == (1, 2, 1)
    assert (found.constant, found.chance) == (0.75, 0.5)


@pytest.mark.skipif("HSWARM_DATA" not in os.environ, reason="HSWARM_DATA names no folder of field-format files")
def test_published_files() -> None:
    folder = Path(os.environ["HSWARM_DATA"])
    crosswords = check_task(load_task(TaskSettings(path=str(folder / "knowledge_crosswords.json"))))
    assert crosswords.overlap_questions_and_answers == 149
    for path in folder.glob("*.json"):
        task = load_task(TaskSettings(name=path.stem, path=str(folder)))
        assert all(example.task == path.stem and example.instruction for example in task.dev)
        sizes = named.get(path.stem).sizes
        assert sizes is None or (len(task.dev), len(task.test)) == sizes


GYM: dict[str, Any] = {"name": "reasoning_gym", "datasets": ("chain_sum", "aiw"), "dev": 11, "test": 20}


def test_generated_questions_repeat_and_do_not_overlap() -> None:
    task = load_task(TaskSettings(**GYM))
    assert (len(task.dev), len(task.test)) == (11, 20)
    assert {example.domain for example in task.dev} == {"chain_sum", "aiw"}
    found = check_task(task)
    assert (found.overlap_questions, found.duplicates_dev, found.duplicates_test) == (0, 0, 0)
    assert task.dev != load_task(TaskSettings(**GYM, seed=1)).dev
    code = f"from hswarm.tasks import *; print([e.question for e in load_task(TaskSettings(**{GYM!r})).dev])"
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "77"},
    )
    assert out.stdout.strip() == repr([example.question for example in task.dev])


def test_small_data_sets_say_how_many_they_have() -> None:
    with pytest.raises(TaskError, match="distinct questions of"):
        load_task(TaskSettings(name="reasoning_gym", datasets=("coin_flip",), dev=3000, test=0))


@pytest.mark.parametrize(
    ("datasets", "options", "word"),
    [
        (("chain_sums",), {}, "did you mean 'chain_sum'"),
        ((), {}, "needs data sets"),
        (("chain_sum",), {"chain_sum": {"min_terms": -1}}, "refuses its options"),
        (("chain_sum",), {"chain_sum": {"nonsense": 1}}, "refuses its options"),
    ],
)
def test_generator_faults(datasets: tuple[str, ...], options: dict[str, Any], word: str) -> None:
    with pytest.raises(TaskError, match=word):
        load_task(TaskSettings(name="reasoning_gym", datasets=datasets, options=options))


def test_toy_steps_come_in_planted_order() -> None:
    order = planted_order(4)
    for example in load_task(TaskSettings(name="toy", dev=30, test=0)).dev:
        steps = [int(word) for word in example.answer.split()[1:]]
        assert steps == [step for step in order if step in steps]


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["dev", "test", "question", "answer", "choices", "context_chunks", "x"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60),
    suffix=st.sampled_from([".json", ".jsonl"]),
)
def test_no_file_breaks_the_reader(tmp_path: Path, content: Any, suffix: Any) -> None:
    path = tmp_path / f"fuzz{suffix}"
    path.write_bytes(content)
    try:
        load_task(TaskSettings(path=str(path)))
    except TaskError as fault:
        assert "\n" not in str(fault)
