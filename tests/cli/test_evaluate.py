"""`hswarm evaluate`: which questions it scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hswarm.cli.main import main
from hswarm.config.recipe import build_recipe
from hswarm.experiments.search import resume, search
from tests.conftest import Interrupt, toy_content


def split_of(path: Path, *arguments: str) -> str:
    out = path.parent / "scores.json"
    assert main(["evaluate", str(path), "--json", str(out), *arguments]) == 0
    return str(json.loads(out.read_text())["split"])


def test_an_unfinished_run_is_scored_on_dev_unless_test_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        search(build_recipe(toy_content()), path, Interrupt(40))
    assert (path / "best").is_dir()
    assert split_of(path) == "dev"
    said = capsys.readouterr()
    assert "toy dev" in said.out
    assert "not finished, so dev is scored" in said.err
    assert split_of(path, "--split", "test") == "test"
    resume(path)
    assert split_of(path) == "test"
    assert split_of(path, "--split", "dev") == "dev"
