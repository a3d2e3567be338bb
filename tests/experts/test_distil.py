"""One adapter learns a system's own answers: lessons from the system, a card, a table; the command goes on where it was."""

import json
from pathlib import Path

import pytest

from hswarm.cli.main import main
from hswarm.runs.directory import Run

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.filterwarnings("default")]


def words(*changes: str) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


def test_a_run_is_distilled_once(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, folder = tmp_path / "run", tmp_path / "run/distilled"
    small = words("budget.calls=150", "task.dev=10", "task.test=16", "search.nodes=2", 'pool.experts=["lun","wex"]')
    assert main(["search", str(root / "recipes/micro-tasks/both.toml"), *small, "--run", str(run)]) == 0
    command = ["distil", str(run), "--questions", "48", "--steps", "3", "--json", str(tmp_path / "told.json")]
    capsys.readouterr()
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "distilled less the system" in out
    assert "3 steps" in err
    told = json.loads((folder / "distil.json").read_text())
    assert json.loads((tmp_path / "told.json").read_text()) == told
    assert [row["calls"] for row in told["rows"]] == [Run.open(run).best.calls, 1, 1, 1]
    assert (told["lessons"], told["rows"][0]["test"]["n"]) == (48, 16)
    assert told["calls"] > 0
    lessons = [json.loads(line) for line in (folder / "lessons.jsonl").read_text().splitlines()]
    system = Run.open(run).best
    asked = [lesson["prompt"].partition("Question: ")[2] for lesson in lessons[:4]]
    assert system.respond(asked) == [lesson["response"] for lesson in lessons[:4]]
    task = [json.loads(line)["question"] for line in (run / "answers.jsonl").read_text().splitlines()]
    assert not {lesson["prompt"].partition("Question: ")[2] for lesson in lessons} & set(task)
    card = (folder / "distilled/README.md").read_text()
    assert "trained by `hswarm experts train`" in card
    weights = (folder / "distilled/adapter_model.safetensors").read_bytes()
    assert main(command) == 0
    assert "already trained, skipped" in capsys.readouterr().err
    assert json.loads((folder / "distil.json").read_text())["calls"] == 0
    assert (folder / "distilled/adapter_model.safetensors").read_bytes() == weights
    assert main(["experts", "check", str(folder)]) == 2  # a pool needs two
    (tmp_path / "mine").mkdir()
    for more, told_in in (
        (("--to", str(tmp_path / "mine")), "holds no distil.toml"),
        (("--steps", "0"), "must be at least 1"),
        (("--data", str(tmp_path / "none.jsonl")), "none.jsonl"),
    ):
        capsys.readouterr()
        assert main(["distil", str(run), *more]) == 2
        assert told_in in capsys.readouterr().err
