"""A prompt that leaves no room for a reply in the base's context: scored as an empty reply, and counted."""

import json
from pathlib import Path

import pytest

from hswarm.cli.main import main

pytestmark = pytest.mark.model


def test_a_question_too_long_is_scored_and_counted(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"question": f"tav {i} {'a ' * 1100 if i < 2 else 'a'}?", "answer": "b"} for i in range(12)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "recipe.toml").write_text(f"""
        [pool]
        path = "{root}/experts/micro/pool"
        base = "{root}/experts/micro/base"
        experts = ["tav", "wex"]
        [task]
        path = "rows.jsonl"
        dev = 10
        test = 2
        max_new_tokens = 4
        [search]
        nodes = 2
        graphs = 2
        assignments = 2
        iterations = 1
    """)
    assert main(["search", str(tmp_path / "recipe.toml"), "--run", str(tmp_path / "run")]) == 0
    answers = map(json.loads, (tmp_path / "run/answers.jsonl").read_text().splitlines())
    lengths = {len(answer["question"]): set(map(len, answer["replies"])) for answer in answers}
    assert lengths.pop(max(lengths)) == {0}
    assert all(0 not in replies for replies in lengths.values())
    assert "were empty" in capsys.readouterr().out
