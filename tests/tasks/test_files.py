"""Files as other people write them: known columns are found, what cannot be read is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hswarm.errors import TaskError
from hswarm.tasks import TaskSettings, formats, load_task
from hswarm.tasks.task import Example

CHAT = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "2 + 3?"}]
SAID = {"role": "assistant", "content": "5"}
ROWS = [
    {"input": "2 + 3?", "output": "5"},
    {"Prompt": "2 + 3?", "Response": 5},
    {"problem": "2 + 3?", "solution": "long", "answer": "5"},
    {"query": "2 + 3?", "target": "5"},
    {"question": "2 + 3?", "answer": '["5", "five"]'},
    {"question": "2 + 3?", "answers": {"text": ["5", "five"], "answer_start": [0, 1]}},
    {"instruction": "2 + 3?", "input": "", "output": "5"},
    {"messages": [CHAT[1], SAID]},
    {"conversations": [{"from": "human", "value": "2 + 3?"}, {"from": "gpt", "value": "5"}]},
    {"prompt": [CHAT[1]], "completion": [SAID]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "2 + 3?"}]}, SAID]},
    {"Question": "2 + 3?", "Correct Answer": "5"},
    {"text": "2 + 3?", "label": 5},
    {"sentence": "2 + 3?", "gold-label": "5"},
    {"human": "2 + 3?", "gpt": "5"},
    {"question": "2 + 3?", "expected_output": "5", "reference": "a book"},
    {"question": "2 + 3?", "context": ["of sums"], "answer": "5"},
    {"question": "2 + 3?", "context": "of sums", "context_chunks": ["one"], "answer": "5"},
]
REFUSED = [
    (
        "a.jsonl",
        '{"question": "q", "answer": "a"}\n{"question": "q\\ud800", "answer": "a"}',
        "line 2: question holds half",
    ),
    ("a.jsonl", '\n{"question": "q", "answer": NaN}', "line 2's answer is nan: write it as text"),
    ("a.jsonl", '{"question": "q", "answer": Infinity}', "line 1's answer is inf"),
    ("a.jsonl", b'{"question": "q", "answer": "a"}\n{"question": "caf\xe9"}', "line 2 is not UTF-8 .*iconv -f latin1"),
    ("a.csv", "question,answer\nq,a\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
    ("a.jsonl", '[\n{"question": "q", "answer": "a"}\n]', r"line 1 is not JSON .*rename it to \.json$"),
    (
        "a.jsonl",
        '{"question": "q", "answer": "a"}\n{"question": "q",}',
        r"line 2 is not JSON \(.* column 18\); write one",
    ),
    ("a.jsonl", "\n \n", "a.jsonl has no rows; expected one a question"),
    ("a.json", '{"question": "q", "answer": "a"}\n{}', r"is not JSON: .*rename it to \.jsonl$"),
    ("a.json", '{"teach": [], "test": []}', "with teach, test; name other splits with task.dev_split"),
    ("a.jsonl", json.dumps({"messages": CHAT}), "line 1: the last turn is the user's; the answer is"),
    ("a.jsonl", json.dumps({"messages": [{"role": "user", "content": [{"type": "image"}]}, SAID]}), "more than text"),
    ("a.csv", "question,answer\nq,a, b\n", "line 2 has 3 cells, the header 2; put text"),
    ("a.csv", 'question,answer\nq,"a\n', "line 2 is not CSV: unexpected end of data; put"),
    ("a.csv", 'question,answer\n"q" too,a\n', "line 2 is not CSV"),
    (
        "a.jsonl",
        '{"input": "Write a poem."}\n{"input": "And one more.", "output": ""}',
        "no row has an answer; only a reward",
    ),
    ("a.jsonl", '{"input": "x", "category": "Incomplete requests"}', "no row has an answer"),
    ("a.csv", "question,answer,answer\n", "line 1: two columns are called 'answer'"),
]


def read(folder: Path, name: str, text: str | bytes) -> tuple[Example, ...]:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return formats.read_data(file).splits[""]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: ",".join(row))
def test_known_columns_are_found(row: dict[str, object], tmp_path: Path) -> None:
    (example,) = read(tmp_path, "a.jsonl", json.dumps(row))
    assert (example.question, example.answer) == ("2 + 3?", "5")
    assert example.meta.get("answers", ("5", "five")) == ("5", "five")


def test_choices_are_found_by_the_name_of_endings(tmp_path: Path) -> None:
    (example,) = read(tmp_path, "a.jsonl", '{"ctx": "She sat", "endings": ["up", "down"], "label": "1"}')
    assert (example.question, example.choices, example.answer) == ("She sat", {"A": "up", "B": "down"}, "B")


@pytest.mark.parametrize("name", ["context", "Passage"])
def test_a_text_that_is_asked_about_stands_before_the_question(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {name: "It rained.", "question": "Was it wet?", "answer": "yes"}
    (example,) = read(tmp_path, "a.jsonl", json.dumps(row))
    assert example.question == "It rained.\n\nWas it wet?"
    assert f"question is '{name}' and 'question'; task.columns overrules" in capsys.readouterr().err
    (example,) = formats.read_data(tmp_path / "a.jsonl", {"question": "question"}).splits[""]
    assert example.question == "Was it wet?"


def test_a_bare_list_of_turns_is_a_chat(tmp_path: Path) -> None:
    for name, text in (("a.jsonl", json.dumps([CHAT[1], SAID])), ("a.json", json.dumps([[CHAT[1], SAID]]))):
        (example,) = read(tmp_path, name, text)
        assert (example.question, example.answer) == ("2 + 3?", "5")


def test_what_was_found_is_told_in_one_line_and_columns_overrule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(tmp_path, "a.jsonl", '{"input": "q", "output": "a", "label": "b"}')
    told = capsys.readouterr().err
    assert told.endswith("a.jsonl: question is 'input', answer is 'label'; task.columns overrules\n")
    assert told.count("\n") == 1
    (example,) = formats.read_data(tmp_path / "a.jsonl", {"answer": "output"}).splits[""]
    assert example.answer == "a"


def test_an_instruction_stands_before_its_input_and_a_chat_keeps_its_turns(tmp_path: Path) -> None:
    (example,) = read(tmp_path, "a.jsonl", '{"instruction": "Add.", "input": "2, 3", "output": "5"}')
    assert example.question == "Add.\n\n2, 3"
    (example,) = read(
        tmp_path, "b.jsonl", json.dumps({"messages": [*CHAT, SAID, {"role": "user", "content": "So?"}, SAID]})
    )
    assert example.question == "System: Be short.\n\nUser: 2 + 3?\n\nAssistant: 5\n\nUser: So?"
    (example,) = read(tmp_path, "c.jsonl", json.dumps({"messages": [*CHAT, SAID]}))
    assert example.question == "Be short.\n\n2 + 3?"


CHOICES = [
    ({"choices": ["x", "y"], "answer": "B"}, "B"),
    ({"choices": ["x", "y"], "answer": "b"}, "B"),
    ({"choices": ["x", "y"], "answer": "(B)"}, "B"),
    ({"choices": ["x", "y"], "answer": "B."}, "B"),
    ({"choices": ["x", "y"], "answer": 1}, "B"),
    ({"choices": ["x", "y"], "answer": 1.0}, "B"),
    ({"choices": ["x", "y"], "answer": "1"}, "B"),
    ({"choices": ["x", "y"], "answer": " y "}, "B"),
    ({"choices": "['x', 'y']", "answer": "y"}, "B"),
    ({"choices": '["x", "y"]', "answer": "y"}, "B"),
    ({"choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answer": "B"}, "B"),
    ({"choices": [{"label": "A", "text": "x"}, {"label": "B", "text": "y"}], "answer": "B"}, "B"),
    ({"choices": {"A": "B", "B": "A"}, "answer": "B"}, "B"),
    ({"choices": ["0", "1"], "answer": 1}, "B"),
    ({"choices": ["No", "yes"], "answer": True}, "B"),
    ({"A": "x", "B": "y", "C": "", "answer": "B"}, "B"),
]
TWO_READINGS = [
    ({"choices": ["1", "2", "3", "4"], "answer": "2"}, "answer '2' is the place of C and the text of B"),
    ({"choices": ["1", "2", "3", "4"], "answer": 2}, "answer '2' is the place of C and the text of B"),
    ({"choices": [1, 2, 3, 4], "answer": 2}, "answer '2' is the place of C and the text of B"),
    ({"choices": ["C", "A", "B"], "answer": "A"}, "answer 'A' is the letter of A and the text of B"),
    ({"choices": ["x", "x"], "answer": "x"}, "answer 'x' is the text of A and B"),
    ({"choices": {"1": "x", "0": "y"}, "answer": "z"}, "answer 'z' is none of the choices 1, 0"),
    ({"choices": ["x", "y"], "answer": 2}, "answer '2' is none of the choices A, B"),
    ({"choices": ["x", "y"], "answer": True}, "answer 'yes' is none of the choices"),
    ({"choices": ["x", None, "y"], "answer": "y"}, "choice B is empty"),
    ({"choices": ["x", " ", "y"], "answer": "y"}, "choice B is empty"),
    ({"A": "x", "B": "", "C": "y", "answer": "C"}, "choice 'B' is empty, which would shift"),
    ({"choices": {"text": ["x", "y"], "label": ["A"]}, "answer": "A"}, "2 texts for the labels A"),
    ({"choices": {"text": ["x", "y"], "label": ["A", "A"]}, "answer": "A"}, "2 texts for the labels A, A"),
    ({"choices": "['x' 'y']", "answer": "x"}, "is a list without commas; write it as JSON"),
    ({"choices": [["x"], ["y"]], "answer": "A"}, "choice A must be text"),
    ({"choices": list(map(str, range(30))), "answer": "A"}, "30 choices are more than there are letters"),
]


@pytest.mark.parametrize(("row", "letter"), CHOICES, ids=lambda value: str(value)[:60])
def test_choices_of_every_shape(row: dict[str, object], letter: str, tmp_path: Path) -> None:
    (example,) = read(tmp_path, "a.jsonl", json.dumps({"question": "q", **row}))
    assert (example.answer, len(example.choices)) == (letter, 2)


@pytest.mark.parametrize(("row", "told"), TWO_READINGS, ids=lambda value: str(value)[:60])
def test_choices_with_two_readings_are_refused(row: dict[str, object], told: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError) as refused:
        read(tmp_path, "a.jsonl", json.dumps({"question": "q", **row}))
    assert told in str(refused.value)
    assert "line 1" in str(refused.value)


def test_true_is_not_one(tmp_path: Path) -> None:
    rows = [{"question": f"q{i}", "answer": answer} for i, answer in enumerate((True, 1, False, 0, "true", 1.0))]
    found = read(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert [example.answer for example in found] == ["yes", "1", "no", "0", "true", "1.0"]


@pytest.mark.parametrize(
    ("kind", "row", "scorer"),
    [
        ("multiple_choice", {"question": "q", "choices": {"A": "x", "B": "y"}, "answer": "B"}, "choice"),
        ("exact_match", {"input": "q", "output": "5"}, "exact"),
        ("f1_match", {"input": "q", "output": '["red", "blue"]'}, "token_f1"),
        ("coding", {"input": "q", "test": "def check(candidate):\n    assert candidate(1) == 1"}, "code"),
        ("reward_model", {"input": "q", "output": ""}, "reward"),
        ("text_generation", {"input": "q"}, "reward"),
        ("kernel_bench", {"input": "q", "output": "5"}, "exact"),
    ],
)
def test_a_file_may_say_how_it_is_scored(kind: str, row: dict[str, object], scorer: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"name": "mine", "task_type": kind, "dev": [row], "test": [row]}))
    task = load_task(TaskSettings(path=str(tmp_path / "a.json")))
    assert (task.scorer, len(task.dev), len(task.test)) == (scorer, 1, 1)


@pytest.mark.parametrize("name", ["validation", "valid", "val", "train"])
def test_dev_under_its_usual_names(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"question": "q", "answer": "5"}
    (tmp_path / "a.json").write_text(json.dumps({"about": "mine", name: [row], "test": [row]}))
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps({**row, "split": part}) for part in (name, "test")))
    for file in ("a.json", "b.jsonl"):
        data = formats.read_data(tmp_path / file)
        assert {part: len(rows) for part, rows in data.splits.items()} == {"dev": 1, "test": 1}
        assert f"{file}: dev is '{name}'; task.dev_split overrules" in capsys.readouterr().err


def test_a_list_of_numbers_is_one_answer(tmp_path: Path) -> None:
    (example,) = read(tmp_path, "a.jsonl", '{"question": "q", "answer": "[1, 2]"}')
    assert (example.answer, example.meta) == ("[1, 2]", {})


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_of_any_delimiter_keeps_what_cells_hold(delimiter: str, tmp_path: Path) -> None:
    text = f'question{delimiter}answer\r\n"a\u2028b\x0cc, d; ""e""\nf"{delimiter}5\r\n'
    (example,) = read(tmp_path, "a.csv", text)
    assert (example.question, example.answer) == ('a\u2028b\x0cc, d; "e"\nf', "5")
    (example,) = read(tmp_path, "b.csv", f"question{delimiter}answer\n{'x' * 200_000}{delimiter}5\n")
    assert len(example.question) == 200_000


def test_one_list_under_another_name_is_read(tmp_path: Path) -> None:
    (example,) = read(tmp_path, "a.json", '{"name": "mine", "data": [{"input": "q", "target": "a"}]}')
    assert (example.question, example.answer) == ("q", "a")


@pytest.mark.parametrize(("name", "text", "told"), REFUSED)
def test_what_cannot_be_read_is_refused_with_its_line(name: str, text: str | bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=told):
        read(tmp_path, name, text)
