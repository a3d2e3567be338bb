"""Every method in a run's directory: searched, killed, resumed byte-equal, reported, exported, asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hswarm import io, load
from hswarm.cli.main import main
from hswarm.config.recipe import Recipe, build_recipe
from hswarm.engines.toy import planted_weights
from hswarm.errors import ConfigError
from hswarm.experiments.search import resume, search
from hswarm.methods.base import method as room
from hswarm.runs.directory import Run
from hswarm.session.records import HistoryEntry
from tests.conftest import Interrupt, toy_content

Result = tuple[bytes, dict[str, Any], dict[str, bytes]]


def recipe_of(name: str, folder: Path, **search: Any) -> Recipe:
    content = toy_content(method=name, graphs=3, assignments=3, iterations=2, **search)
    if name == "data_merge":
        io.write_tensors(folder / "union" / "vector.safetensors", {"vector": planted_weights(3)})
        content["methods"] = {"data_merge": {"path": str(folder / "union")}}
    return build_recipe(content)


def result(path: Path) -> Result:
    """What must be equal between equal runs: history, the report less times, the system."""
    report = json.loads((path / "report.json").read_text())
    del report["wall_s"]
    best = {str(file.relative_to(path)): file.read_bytes() for file in (path / "best").rglob("*") if file.is_file()}
    history = path / "history.jsonl"
    return (history.read_bytes() if history.is_file() else b""), report, best


@pytest.mark.parametrize("name", room.names)
def test_a_run_broken_off_anywhere_resumes_byte_equal(name: str, tmp_path: Path) -> None:
    recipe = recipe_of(name, tmp_path)
    whole = search(recipe, tmp_path / "whole")
    assert whole.report.topology.size >= 1
    assert whole.recipe.search.method == name
    for after in (1, 3, 6):
        path = tmp_path / f"stopped-{after}"
        try:
            search(recipe, path, Interrupt(after))
        except KeyboardInterrupt:
            resume(path)
        assert result(path) == result(tmp_path / "whole")


KILLED = """
import os, signal, sys
from pathlib import Path
from hswarm.config.recipe import read_recipe
from hswarm.experiments.search import search
from hswarm.runs.progress import Progress

class Kill(Progress):
    left = int(sys.argv[3])
    def advance(self, calls):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

search(read_recipe(sys.argv[1]), Path(sys.argv[2]), Kill())
"""


@pytest.mark.parametrize(
    ("name", "after"), [("gptswarm", 5), ("meta_agent", 7), ("self_consistency", 2), ("hswarm", 9), ("growth", 11)]
)
def test_a_killed_process_resumes_byte_equal(name: str, after: int, tmp_path: Path) -> None:
    recipe, path = tmp_path / "r.toml", tmp_path / "killed"
    recipe.write_text(recipe_of(name, tmp_path).to_toml())
    search(recipe, tmp_path / "whole")
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(recipe), str(path), str(after)], env=dict(os.environ), check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert not Run.open(path).finished
    resume(path)
    assert result(path) == result(tmp_path / "whole")


def test_a_budget_ends_a_method_and_the_best_so_far_is_the_run_s(tmp_path: Path) -> None:
    content = toy_content(method="gptswarm") | {"budget": {"calls": 200}}
    report = search(build_recipe(content), tmp_path / "run").report
    assert list(report.stopped) == ["budget"]
    assert report.stopped["budget"] <= 200
    assert report.dev.score == max(u for line in Run.open(tmp_path / "run").history() for u in _utilities(line))


def _utilities(line: HistoryEntry) -> list[float]:
    return [value for value in line.scored.utilities if value is not None]


def test_a_method_s_run_is_shown_reported_exported_and_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, run = tmp_path / "r.toml", tmp_path / "run"
    recipe.write_text(recipe_of("hswarm", tmp_path).to_toml())
    assert main(["search", str(recipe), "--method", "agentverse", "--run", str(run)]) == 0
    assert Run.open(run).recipe.search.method == "agentverse"
    assert main(["show", str(run)]) == 0
    assert "found system" in capsys.readouterr().out
    assert main(["report", str(run), "--out", str(tmp_path / "r.html")]) == 0
    assert "best of each step" in (tmp_path / "r.html").read_text()
    assert main(["export", str(run), str(tmp_path / "bundle")]) == 0
    assert load(tmp_path / "bundle").assignment == Run.open(run).best.assignment
    capsys.readouterr()
    question = "toy q0: steps 2 0 1; difficulty 0.50 0.20 0.50"
    assert main(["ask", str(run), question]) == 0
    assert capsys.readouterr().out == Run.open(run).best.respond([question])[0] + "\n"


def test_unknown_methods_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'gptswarm'"):
        search(build_recipe(toy_content(method="gptswarn")), tmp_path / "run")
    with pytest.raises(ConfigError, match="leave out --forecast"):
        search(build_recipe(toy_content(method="gptswarm")), tmp_path / "run", calibrate=True)
    assert not (tmp_path / "run").exists()
