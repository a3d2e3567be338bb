"""The command line as a user types it: exit status, one line an error, nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hswarm.cli.main import main
from hswarm.cli.parser import parser


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(words)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def toy_run(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "run"
    words = ["--set", "search.nodes=3", "--set", "task.options.toy.steps=3", "--set", "search.iterations=2"]
    assert main(["search", str(root / "recipes/toy.toml"), *words, "--run", str(path)]) == 0
    out, _ = capsys.readouterr()
    for text in ("best single expert", "found system", "calls asked for", "edges: 1:", str(path)):
        assert text in out.replace("\n", " ")
    return path


def test_a_run_from_search_to_ask(capsys: pytest.CaptureFixture[str], tmp_path: Path, toy_run: Path) -> None:
    assert run(capsys, "show", str(toy_run))[0] == 0
    question = "toy 0.0: steps 0; difficulty 0.20"
    status, out, _ = run(capsys, "ask", str(toy_run), question, "--trace")
    assert status == 0
    assert out.strip().endswith("done 0")
    assert "reads no other node" in out
    status, out, _ = run(capsys, "evaluate", str(toy_run), "--json", str(tmp_path / "e.json"))
    report = json.loads((toy_run / "report.json").read_text())
    assert f"{report['test']['score']:.3f}" in out
    assert json.loads((tmp_path / "e.json").read_text())["score"] == report["test"]["score"]
    assert run(capsys, "evaluate", str(toy_run), "--split", "dev", "--scorer", "reference")[0] == 0


def test_refusals_exit_2_on_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, root: Path, toy_run: Path
) -> None:
    toy, demo = str(root / "recipes/toy.toml"), str(root / "recipes/smollm2.toml")
    (tmp_path / "empty.json").write_text('{"dev": [], "test": []}')
    (tmp_path / "bad.json").write_text('{"dev": [{"question": "q"}], "test": []}')
    file = ["--set", "task.name=''", "--set"]
    cases = {
        ("search", "none.toml"): "no recipe at",
        ("search", toy, "--set", "serch.graphs=1"): "did you mean 'search'?",
        ("search", toy, "--run", str(toy_run)): "exists; name another folder",
        ("resume", str(toy_run)): "is finished",
        ("resume", str(tmp_path / "none")): "no run at",
        ("search", toy, "--set", "engine.name=tranformers"): "did you mean 'transformers'?",
        ("search", toy, "--set", "task.name=toi"): "did you mean 'toy'?",
        ("search", toy, "--set", "task.scorer=exakt"): "did you mean 'exact'?",
        ("search", toy, *file, f"task.path={tmp_path / 'empty.json'}"): "dev has 0 questions, 60 were asked for",
        ("search", toy, *file, f"task.path={tmp_path / 'bad.json'}"): "bad.json: no row has an answer",
        ("search", toy, *file, f"task.path={tmp_path / 'none.json'}"): "cannot be read",
        ("search", demo, "--set", "pool.path='/nowhere'"): "no folder /nowhere",
        ("search", demo, "--set", "search.nodes=7"): "search.nodes is 7, the pool has 6 experts",
        ("search", demo, "--set", 'pool.experts=["sumz", "logic"]'): "did you mean 'sums'?",
        ("ask", str(tmp_path), "hello"): "expected a finished run",
        ("experts", "check", "/nowhere"): "no folder /nowhere",
    }
    for words, expected in cases.items():
        status, out, err = run(
            capsys,
            *words,
            *(["--run", str(tmp_path / "new")] if "search" in words[:1] and "--run" not in words else []),
        )
        assert (status, len(err.strip().split("\n"))) == (2, 1), (words, err)
        assert expected in err, (words, err)
        assert "Traceback" not in out + err
    assert not (tmp_path / "new").exists()


def test_ctrl_c_leaves_a_resumable_run(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "run"
    words = [sys.executable, "-m", "hswarm.cli.main"]
    long = ["--set", "search.iterations=500", "--set", "search.patience=500"]
    process = subprocess.Popen(
        [*words, "search", str(root / "recipes/toy.toml"), *long, "--run", str(path)], stderr=subprocess.PIPE, text=True
    )
    while not (path / "history.jsonl").exists() or not (path / "history.jsonl").read_bytes():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"continue with: hswarm resume {path}" in err
    assert "Traceback" not in err


def test_help_is_quick_and_light(root: Path) -> None:
    code = "import sys, hswarm.cli.main as m; m.parser().format_help(); print([x for x in ('torch', 'transformers', 'numpy', 'pydantic') if x in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["search", "resume", "plan", "evaluate", "ask", "show", "tasks", "experts", "list"])
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit, match="0"):
        parser().parse_args([command, "--help"])
    assert "usage: hswarm" in capsys.readouterr().out


def test_plan_ls_tasks_and_experts(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    status, out, _ = run(capsys, "plan", str(root / "recipes/paper/nlgraph.toml"))
    assert status == 0
    assert "823,000" in out  # 2,000 alone + 20 x (10 + 10) x 10 x 200 + 21 x 1,000 on test
    assert "not here yet" in out
    assert "transformers" in run(capsys, "list", "engines")[1]
    assert "4 dev" not in run(capsys, "tasks", "show", str(root / "recipes/toy.toml"))[1]
    status, out, _ = run(capsys, "tasks", "check", str(root / "recipes/toy.toml"))
    assert (status, "overlap questions: 0" in out) == (0, True)
    status, out, _ = run(capsys, "experts", "check", str(root / "experts/smollm2"))
    assert (status, "9 experts" in out) == (0, True)
    status, out, _ = run(capsys, "experts", "show", str(root / "experts/smollm2"))
    assert (status, "spelling" in out) == (0, True)


def test_debug_shows_the_traceback() -> None:
    out = subprocess.run(
        [sys.executable, "-m", "hswarm.cli.main", "--debug", "search", "none.toml"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert "Traceback" in out.stderr
