"""Files as other people write them: known columns are found, what cannot be read is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hswarm.errors import TaskError
from hswarm.tasks import formats
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
    ("a.jsonl", '[\n{"question": "q", "answer": "a"}\n]', r"line 1 is not JSON: .*rename it to \.json$"),
    ("a.json", '{"question": "q", "answer": "a"}\n{}', r"is not JSON: .*rename it to \.jsonl$"),
    ("a.json", '{"train": [], "test": []}', "with train, test; name other splits with task.dev_split"),
    ("a.jsonl", json.dumps({"messages": CHAT}), "line 1: the last turn is the user's; the answer is"),
    ("a.jsonl", json.dumps({"messages": [{"role": "user", "content": [{"type": "image"}]}, SAID]}), "more than text"),
    ("a.csv", "question,answer\nq,a, b\n", "line 2 has 3 cells, the header 2; put text"),
    ("a.csv", 'question,answer\nq,"a\n', "line 2 is not CSV: unexpected end of data; put"),
    ("a.csv", 'question,answer\n"q" too,a\n', "line 2 is not CSV"),
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
