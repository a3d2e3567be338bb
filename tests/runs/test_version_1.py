"""Runs, bundles and comparisons that version 0.1 wrote are still read by every command that a user has for them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hswarm.cli.main import main
from hswarm.runs.answers import read_answers
from hswarm.runs.directory import Run
from hswarm.session.records import HistoryEntry

OLD = Path(__file__).parent / "version_1"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of each of them, in a folder of its own."""
    for name in ("run", "bundle"):
        shutil.copytree(OLD / name, tmp_path / name)
    (tmp_path / "compared/recipes").mkdir(parents=True)
    shutil.copy(OLD / "comparison.json", tmp_path / "compared/table.json")
    shutil.copy(OLD / "run/config.toml", tmp_path / "compared/recipes/toy.toml")
    return tmp_path


def test_its_records_are_read_whole_and_would_be_written_as_they_were(old: Path) -> None:
    run = Run.open(old / "run")
    assert run.report.left_out == ()
    assert (run.report.dev.score, run.report.best_single.expert, run.report.calls.reused) == (1.0, "step-0", 693)
    before = (old / "run/report.json").read_text()
    run.write_report(run.report)
    assert (old / "run/report.json").read_text() == before
    answers = read_answers(run)
    assert answers is not None
    lines = (old / "run/answers.jsonl").read_text().splitlines()
    assert [json.dumps(answer.content()) for answer in answers] == lines


@pytest.mark.parametrize("path", ["toy-history.jsonl", "run/history.jsonl"])
def test_its_history_is_written_byte_equal(path: str, old: Path) -> None:
    shutil.copy(OLD / path, old / "run/history.jsonl")
    run = Run.open(old / "run")
    entries = run.history()
    assert entries[0].role.edges
    assert not any(entry.left_out for entry in entries)
    run.rewind(0)
    for entry in entries:
        run.append(entry)
    assert (old / "run/history.jsonl").read_bytes() == (OLD / path).read_bytes()


def test_what_a_method_tells_besides_is_kept_before_the_totals() -> None:
    totals = {"best": {"utility": 0.5, "step": "0/x"}, "calls": {"requested": 2, "generated": 1}}
    told = {"iteration": 0, "pairs": [[0, 1]], "mine": {"a": None}, **totals}
    entry = HistoryEntry.model_validate(told)
    assert entry.model_extra == {"pairs": [[0, 1]], "mine": {"a": None}}
    assert json.dumps(entry.content()) == json.dumps(told)


def test_unknown_keys_are_kept(old: Path) -> None:
    path = old / "run/report.json"
    content = json.loads(path.read_text())
    content["later"], content["dev"]["median"] = {"a": 1}, 0.5
    path.write_text(json.dumps(content))
    report = Run.open(old / "run").report
    assert report.left_out == ()
    assert report.model_extra == {"later": {"a": 1}}
    assert report.content() == content


def test_its_run_is_shown_and_reported(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(old / "run")]) == 0
    shown = capsys.readouterr().out
    assert "1.000 [1.000, 1.000]" in shown
    assert "warning" not in shown
    page = old / "page.md"
    assert main(["report", str(old / "run"), "--out", str(page), "--comparison", str(old / "compared")]) == 0
    text = page.read_text()
    assert "left out:" not in text
    row = json.loads((OLD / "comparison.json").read_text())["tasks"]["toy"][0]
    assert f"| {row['test']:.3f} | {row['ci'][0]:.3f} to {row['ci'][1]:.3f} |" in text
    assert main(["ls", "runs", str(old)]) == 0
    assert "damaged" not in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["run", "bundle"])
def test_its_system_is_asked_and_evaluated(old: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.open(old / "run")
    asked = json.loads((old / "run/answers.jsonl").read_text().splitlines()[0])
    assert main(["ask", str(old / kind), asked["question"]]) == 0
    assert capsys.readouterr().out == asked["replies"][run.best.topology.sink] + "\n"
    told = old / "evaluated.json"
    task = [] if kind == "run" else ["--task", str(old / "run/config.toml")]
    assert main(["evaluate", str(old / kind), *task, "--json", str(told)]) == 0
    found = json.loads(told.read_text())
    report = run.report
    assert report.test is not None
    assert (found["score"], found["n"], found["ci"]) == (report.test.score, report.test.n, report.test.ci)


def test_its_bundle_is_exported_again(old: Path) -> None:
    assert main(["export", str(old / "bundle"), str(old / "again")]) == 0
    for name in ("report.json", "recipe.toml"):
        assert (old / "again" / name).read_text() == (old / "bundle" / name).read_text()
