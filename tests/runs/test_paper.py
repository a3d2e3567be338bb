"""The paper's printed results, kept apart from what hswarm measures."""

from pathlib import Path

import pytest

from hswarm.cli.main import main
from hswarm.experiments import paper


def test_the_gains_repeat_the_claim_and_what_it_rests_on() -> None:
    gains = paper.gains()
    percents = [gain.percent for gain in gains]
    assert sum(percents) / 12 == pytest.approx(18.45, abs=0.01)
    small = [gain.percent for gain in gains if gain.task.name in ("GAIA", "AB-ltp")]
    assert sum(small) / 12 == pytest.approx(10.0, abs=0.1)
    assert (sum(percents) - sum(small)) / 10 == pytest.approx(10.1, abs=0.1)
    (nlgraph,) = (gain for gain in gains if gain.task.name == "NLGraph")
    assert (nlgraph.rival, nlgraph.percent < 0) == ("model swarms", True)


def test_what_the_paper_does_not_print_stays_empty() -> None:
    rows = paper.figures()
    assert [i for i, score in enumerate(rows["prediction merge"]) if score is None] == [8, 9, 10]
    assert all(len(row) == len(paper.TASKS) for row in rows.values())


def test_the_command_prints_the_page_of_the_docs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--paper"]) == 0
    assert capsys.readouterr().out == (root / "docs/paper-table.md").read_text()


def test_recipes_or_the_paper(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare"]) == 2
    assert "expected recipes to compare methods on, or --paper" in capsys.readouterr().err


def test_the_papers_table_follows_the_measured_one(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", str(root / "recipes/compare-toy.toml"), "--methods", "best_single", "--seeds", "1"]
    assert main([*words, "--run", str(tmp_path / "run")]) == 0
    measured = capsys.readouterr().out
    assert main([*words, "--run", str(tmp_path / "run"), "--paper"]) == 0
    assert capsys.readouterr().out == measured + (root / "docs/paper-table.md").read_text()
