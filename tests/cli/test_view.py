"""What the terminal shows: a live view on a real terminal, plain lines elsewhere; runs listed and shown at any moment."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from hswarm.cli.main import main
from hswarm.config.recipe import build_recipe
from hswarm.experiments.search import search
from hswarm.plots.charts import sparkline
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress
from tests.conftest import toy_content
from tests.known import known

WORDS = [sys.executable, "-m", "hswarm.cli.main"]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(build_recipe(toy_content(iterations=8, patience=8)).to_toml())
    return path


def on_a_terminal(*words: Path | str) -> tuple[str, int]:
    """Everything that a terminal of 120 columns gets from `hswarm words`, and the exit status."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        [*WORDS, *map(str, words)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"},
    )
    os.close(theirs)
    got = b""
    try:
        while part := os.read(ours, 65536):
            got += part
    except OSError:  # the other side was closed
        pass
    os.close(ours)
    return got.decode(), process.wait(60)


def test_a_terminal_gets_a_live_view(tmp_path: Path, recipe: Path) -> None:
    shown, status = on_a_terminal("search", recipe, "--run", tmp_path / "run")
    assert status == 0
    best = [entry.best.utility for entry in Run.open(tmp_path / "run").history()]
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert "\x1b[1A" in shown  # it draws over what it drew
    assert sparkline(best) in text
    assert re.search(r"best on dev \d\.\d{3}, found in iteration [1-8] \((role|weight)-step\)", text)
    assert re.search(r"at most \d+:\d\d left", text)
    assert re.search(r"calls asked for, [\d,]+ generated", text)
    assert "iteration 8:" in text


def test_elsewhere_there_are_plain_lines(tmp_path: Path, recipe: Path) -> None:
    made = subprocess.run(
        [*WORDS, "search", str(recipe), "--run", str(tmp_path / "run")], capture_output=True, text=True, check=True
    )
    lines = made.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"iteration {t}" for t in range(1, 9)]
    assert all("calls generated" in line and "at most" in line for line in lines)
    assert "\x1b" not in made.stderr + made.stdout
    assert "found system" in made.stdout


def test_resumed_the_view_knows_what_was_before(tmp_path: Path, recipe: Path) -> None:
    class Stop(Progress):
        def iteration(self, entry: Any) -> None:
            if entry.iteration == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(recipe, tmp_path / "run", Stop())
    shown, status = on_a_terminal("resume", tmp_path / "run")
    assert status == 0
    best = [entry.best.utility for entry in Run.open(tmp_path / "run").history()]
    assert sparkline(best) in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)


def test_runs_of_a_folder_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search(build_recipe(toy_content()), tmp_path / "a")
    Run.create(tmp_path / "b", build_recipe(toy_content()))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "config.toml").write_text("what = 1")
    (tmp_path / "no-run").mkdir()
    assert main(["list", "runs", str(tmp_path)]) == 0
    head, *rows = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert head[:2] == ["run", "state"]
    assert [row[:2] for row in rows] == [
        [str(tmp_path / "a"), "finished"],
        [str(tmp_path / "b"), "interrupted"],
        [str(tmp_path / "c"), "damaged"],
    ]
    test = known(Run.open(tmp_path / "a").report.test)
    assert "{:.3f} [{:.3f}, {:.3f}]".format(known(test.score), *known(test.ci)) == rows[0][6]
    assert "unknown key 'what'" in rows[2][2]
    assert main(["list", "runs", str(tmp_path / "nowhere")]) == 2
    assert main(["list"]) == 0


def test_an_unfinished_run_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Look(Progress):
        def iteration(self, entry: Any) -> None:
            main(["show", str(tmp_path / "run")])

    search(build_recipe(toy_content()), tmp_path / "run", Look())
    out = capsys.readouterr().out
    assert f"small: running by process {os.getpid()}" in out
    assert "1 of at most 4 iterations" in out
    assert "best by iteration: " in out
    assert "generated" in out
