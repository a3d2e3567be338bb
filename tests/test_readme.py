"""README.md is the page on the package index: its links, its commands and code, its figures."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hswarm.cli.main import main
from tests.pages import hswarm

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.M | re.S)


def test_links_are_absolute_and_lead_to_files_that_are_here() -> None:
    home = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert len(links) > 20
    for link in links:
        assert link.startswith("https://"), link
        place = link.replace("https://raw.githubusercontent.com/hswarm/hswarm/main/", f"{home}/blob/main/")
        if place.startswith(home):
            assert (ROOT / place.removeprefix(f"{home}/blob/main/")).is_file(), link


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `hswarm demo --run demo` leaves, found with a small share of its calls."""
    made = tmp_path_factory.mktemp("readme")
    (made / "demo").mkdir()
    with contextlib.chdir(made):
        assert main(["new", "micro", "--file", "demo/demo.toml"]) == 0
        words = ["--set", "budget.calls=500", "--set", "task.dev=40", "--set", "task.test=20", "--run", "demo/run"]
        assert main(["search", "demo/demo.toml", *words]) == 0
    return made


@pytest.mark.model
def test_every_command_runs(folder: Path) -> None:
    (block,) = blocks("sh")
    first, *rest = block.splitlines()
    assert first == "hswarm demo --run demo"
    assert len(rest) == 9
    for command in rest:
        done = hswarm(command, folder)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert (folder / "bundle/README.md").is_file()
    assert (folder / "demo/run/report.html").is_file()


@pytest.mark.model
def test_the_python_runs(folder: Path) -> None:
    (block,) = blocks("python")
    assert len([line for line in block.splitlines() if line]) <= 10
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=folder, capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "->" in done.stdout


def figures(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / f"docs/{name}.json").read_text())
    return found


def row(first: str) -> list[str]:
    """The cells of the table's row that begins with `first`, without marks."""
    (line,) = [line for line in TEXT.splitlines() if line.startswith(f"| {first}")]
    return [cell.strip().strip("*") for cell in line.strip("|").split("|")]


def test_the_figures_are_those_of_the_measurements() -> None:
    demo = figures("demo")
    for part in (demo["best_single"]["test"], demo["start"]["test"], demo["test"]):
        assert f" {part['score']:.3f}" in TEXT
    large = figures("benchmarks/search_quality_micro_5000")["methods"]
    long = figures("benchmarks/search_quality_micro_20000")["methods"]
    small = figures("benchmarks/search_quality_micro_tasks")["methods"]
    for first, methods in (("ten experts", large), ("the same", long), ("six smaller", small)):
        shown = [f"{methods[name]['test']:.3f}" for name in ("growth", "hswarm", "random_search")]
        assert row(first)[2:] == shown
    prose = " ".join(TEXT.split())
    for name in ("tasks-1200", "tasks-5000", "held-out-1200"):
        means = figures(f"benchmarks/protocol_steps-{name}")["mean over tasks"]
        best = max(one["test"] for method, one in means.items() if method != "growth")
        assert re.search(f"{means['growth']['test']:.3f}[^.]*, the best rival {best:.3f}", prose)
    wide, speed = figures("benchmarks/search_vs_naive"), figures("benchmarks/engine_speed")
    cells = " ".join(row("a search by"))
    for text in (f"{wide['calls']:,} calls", f"{wide['ours, s']:.0f} s", f"{wide['naive, s']:,.0f} s"):
        assert text in cells
    assert f"{wide['times']:.1f} times" in cells
    cells = " ".join(row("until a system"))
    seconds = figures("benchmarks/time_to_quality_micro")["paper"]["seconds"]
    for text in (f"{seconds['ours']:.0f} s", f"{seconds['naive']:,.0f} s", f"{seconds['times']:.0f} times"):
        assert text in cells
    for name in ("smollm2", "demo"):
        assert f"{figures(f'benchmarks/time_to_quality_{name}')['paper']['seconds']['times']:.0f}" in cells
    for first, keys in (
        ("OpenVINO engine", ("openvino: tokens/s", "raw pipeline: tokens/s")),
        ("transformers engine", ("transformers: tokens/s", "plain generate, batch 10, file order: tokens/s")),
    ):
        assert all(f"{speed[key]:,.0f} tokens/s" in " ".join(row(first)) for key in keys)


def test_the_page_of_benchmarks_is_made_of_its_files() -> None:
    command = [sys.executable, "benchmarks/table.py", "--print"]
    made = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert made == (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")  # python benchmarks/table.py


def test_tables_of_results_and_studies_are_made_of_their_files(tmp_path: Path) -> None:
    for part in ("benchmarks", "docs"):
        shutil.copytree(ROOT / part, tmp_path / part)
    title = "Mean score on test over the twelve tasks, 1,200 calls a search"
    protocol = ["benchmarks/protocol.py", "steps-tasks-1200", "--page", "steps", "--picture", title]
    more_calls = ["benchmarks/protocol.py", "steps-tasks-5000", "--page", "steps-5000"]
    held_out = ["benchmarks/protocol.py", "steps-held-out-1200", "--page", "held-out"]
    others = (["benchmarks/results_head.py"], ["benchmarks/paper_studies.py"])
    for command in (*others, protocol, more_calls, held_out):
        subprocess.run([sys.executable, *command], cwd=tmp_path, check=True)
    for name in ("results.md", "results.svg", "results-steps.svg", "studies.md"):
        assert (tmp_path / "docs" / name).read_text() == (ROOT / "docs" / name).read_text()
