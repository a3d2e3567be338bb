"""`hswarm tasks check` ends with a verdict and a status to match."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hswarm.cli.main import main

SOLUTION = "First add.\nThen divide."
CASES = [
    ("exact", ["5", "6"], ["7"], 0, "ok"),
    ("exact", ["5", "6"], [], 1, "no test questions"),
    (
        "exact",
        ["5", "6", "7", SOLUTION],
        ["8"],
        1,
        "1 of 5 answers cannot be read by scorer 'exact', first that of d3;",
    ),
    ("exact", [SOLUTION, "5"], [SOLUTION], 2, "2 of 3 answers cannot be read"),
    ("token_f1", [SOLUTION, "5"], ["6"], 0, "ok"),
    ("exact", ["5"] * 10, ["5"] * 10, 1, "one answer is right for 100% of the questions"),
    ("choice", ["5", "6"], ["7"], 2, "3 of 3 answers cannot be read by scorer 'choice'"),
]


def write(folder: Path, dev: list[str], test: list[str], question: str = "{}?") -> str:
    content = {
        split: [{"id": f"{split[0]}{i}", "question": question.format(f"{split}{i}"), "answer": a} for i, a in rows]
        for split, rows in (("dev", enumerate(dev)), ("test", enumerate(test)))
    }
    (folder / "mine.json").write_text(json.dumps(content))
    (folder / "mine.toml").write_text("[task]\npath = 'mine.json'\n")
    return str(folder / "mine.toml")


@pytest.mark.parametrize(("scorer", "dev", "test", "status", "told"), CASES)
def test_the_verdict_is_the_exit_status(
    scorer: str,
    dev: list[str],
    test: list[str],
    status: int,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = Path(write(tmp_path, dev, test))
    recipe.write_text(f"{recipe.read_text()}scorer = '{scorer}'\n")
    assert main(["tasks", "check", str(recipe)]) == status
    shown = capsys.readouterr().out
    assert told in shown
    assert shown.endswith(f"verdict: {('ok', 'warnings', 'not usable')[status]}\n")


def test_a_question_with_two_answers_contradicts_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "check", write(tmp_path, ["5", "6"], ["7"], "same?")]) == 1
    assert "- 1 questions have several answers" in capsys.readouterr().out
