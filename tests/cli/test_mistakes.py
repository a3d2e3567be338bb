"""What users get wrong at the command line ends on one line that says what to write."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hswarm.cli.common import recipe_of
from hswarm.cli.main import main
from hswarm.config.recipe import read_recipe
from hswarm.runs.directory import Run


def fault(arguments: Sequence[Path | str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a mistaken command ends with."""
    try:
        status: object = main([str(argument) for argument in arguments])
    except SystemExit as end:
        status = end.code
    said = capsys.readouterr().err.strip()
    assert status == 2, said
    assert len(said.splitlines()) == 1
    return said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serch"], "unknown 'serch'; did you mean 'search'?"),
        (["list", "taks"], "did you mean 'tasks'?"),
        (["experts", "chek"], "did you mean 'check'?"),
        (["serve", "x", "--port", "99999"], "expected a port from 0 (any free one) to 65535, got '99999'"),
        (["serve", "x", "--port", "-1"], "expected a port"),
        (["serve", "x", "--port", "http"], "expected a port"),
        (["serve", "x", "--workers", "two"], "argument --workers: expected a whole number, got 'two'; see"),
        (["compare", "x", "--budget-seconds", "soon"], "argument --budget-seconds: expected a number, got 'soon'; see"),
        (["ask"], "required: RUN, QUESTION; see hswarm ask --help"),
    ],
)
def test_near_names_ports_and_what_is_missing(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in fault(arguments, capsys)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("seed=true", "seed: expected a number, got true"),
        ("search.nodes=true", "search.nodes: expected a number, got true"),
        ("sampling.temperature=false", "sampling.temperature: expected a number, got false"),
        ("pool.experts=5", "pool.experts: expected a list, got 5"),
        ('search.nodes="x"', 'search.nodes: expected a whole number, got "x"'),
        ("search.nodes=2.5", "search.nodes: expected a whole number, got 2.5"),
        ("task=5", "task: expected a table, got 5"),
        ("name=" + "n" * 300, "name: expected at most 100 characters"),
        ("preset=papr", "preset: expected '', 'paper' or 'reference', got \"papr\""),
        ('name="a/b"', "name: expected letters, digits"),
        ("pool.path=/gone[/x]y", "/gone[/x]y"),
        ("search.graphs=1e9", "search.graphs: must be at most 10000, got 1000000000"),
        ("search.nodes=1000000", "search.nodes: must be at most 1000, got 1000000"),
        ("engine.device=gpu", "engine: device must be 'auto', 'cpu', 'cuda', 'cuda:1', 'mps' or 'xpu', got 'gpu'"),
        ("engine.device=CPU", "engine: device must be"),
        ("engine.device=cuda:", "engine: device must be"),
        ('engine.device=""', "engine: device must be"),
    ],
)
def test_recipes_speak_of_what_to_write(
    change: str, words: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = fault(["search", root / "recipes/toy.toml", "--set", change, "--run", tmp_path / "run"], capsys)
    assert words in said
    assert "valid" not in said


@pytest.mark.parametrize("command", [["show"], ["report"], ["resume"], ["analyze"], ["serve"], ["evaluate"], ["ask"]])
def test_the_wrong_kind_of_folder_is_named(
    command: list[str], root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["why?"] if command == ["ask"] else []
    assert "it is a recipe: hswarm search" in fault([*command, root / "recipes/toy.toml", *more], capsys)
    assert "it is an adapter" in fault([*command, root / "experts/micro/pool/gul", *more], capsys)
    assert "nothing is there" in fault([*command, tmp_path / "gone", *more], capsys)
    (tmp_path / "runs/one").mkdir(parents=True)
    (tmp_path / "runs/one/config.toml").write_text("")
    assert "it holds runs: name one" in fault([*command, tmp_path / "runs", *more], capsys)


def test_a_recipe_is_a_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "it is a run: hswarm show" in fault(["search", root / "tests/runs/version_1/run"], capsys)
    assert "it is an adapter" in fault(["compare", root / "experts/micro/pool/gul"], capsys)


def test_brackets_in_paths_are_printed_as_they_are(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = str(root / "recipes/toy.toml")
    assert main(["compare", recipe, "--methods", "best_single", "--seeds", "1", "--run", "c[/x]y[red]"]) == 0
    assert "c[/x]y[red]" in capsys.readouterr().out


def test_a_name_that_the_file_system_refuses(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fault(["search", root / "recipes/toy.toml", "--run", tmp_path / ("n" * 300)], capsys)


@pytest.mark.parametrize("command", ["tasks", "experts"])
def test_a_run_is_checked_by_what_it_was_made_of(
    command: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, more = str(tmp_path / "run"), ["--set", "search.iterations=1"]
    recipe = str(root / ("recipes/toy.toml" if command == "tasks" else "recipes/micro.toml"))
    Run.create(tmp_path / "run", read_recipe(recipe, more[1:]))
    assert main([command, "check", run]) in (0, 1)
    assert ("verdict: ok" if command == "tasks" else "10 experts of") in capsys.readouterr().out


def test_other_folders_are_named_by_the_checks_too(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pool = root / "experts/micro/pool"
    assert "it is a pool of experts: hswarm experts check" in fault(["tasks", "check", pool], capsys)
    assert "it is a pool of experts: hswarm experts check" in fault(["show", pool], capsys)
    assert f"it is an adapter: name the folder that holds it, {pool}" in fault(
        ["experts", "check", pool / "gul"], capsys
    )
    assert "no system at" in fault(["evaluate", root / "tests"], capsys)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: None, "holds no iterations, or is missing; restore it from a copy"),
        (lambda text: "", "holds no iterations, or is missing"),
        (lambda text: text[: len(text) // 2], "of 3 iterations; restore it from a copy"),
        (lambda text: f"hello\n{text}", "is damaged: "),
        (lambda text: f"[1]\n{text}", "line 1, has another form"),
    ],
)
def test_a_damaged_history_is_refused_by_all_who_read_it(
    damage: Callable[..., Any], words: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(root / "tests/runs/version_1/run", run)
    history = run / "history.jsonl"
    text = damage(history.read_text())
    history.unlink() if text is None else history.write_text(text)
    for command in ("show", "report", "analyze"):
        assert words in fault([command, run], capsys)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('engine.devices="all"', "engine.devices: expected a list or 'auto', got \"all\""),
        ("engine.batch=-1", "engine.batch: must be at least 0 or 'auto', got -1"),
        ('engine.devices=["cpu"]', 'engine.devices.0: expected a whole number, got "cpu"'),
        ("task.columns={choices=3}", "task.columns.choices: expected text in quotes or a list, got 3"),
        (
            "pool={path='x',base='y',mixed=true}",
            "pool: a mixed pool has several bases, named by its experts; leave out pool.base",
        ),
        ('pool.remote=[{name="x"}]', "pool.remote.0.model: is missing; pool.remote.0.url: is missing"),
    ],
)
def test_fields_of_several_kinds_are_told_at_once(
    change: str, words: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fault(["plan", root / "recipes/toy.toml", "--set", change], capsys) == f"hswarm: {words}"


def ended(words: Sequence[object], ready: Callable[..., Any], root: Path) -> tuple[int, str]:
    """(status, standard error) of a command that gets SIGTERM as soon as `ready`."""
    command = subprocess.Popen(
        [sys.executable, "-m", "hswarm.cli.main", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
    )
    for _ in range(6000):
        if ready() or command.poll() is not None:
            break
        time.sleep(0.05)
    command.send_signal(signal.SIGTERM)
    said = command.communicate(timeout=60)[1]
    assert "Traceback" not in said
    return command.returncode, said


def test_sigterm_ends_a_search_that_can_go_on(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    more = ["--set", "search.method=hswarm", "--set", "search.iterations=10000", "--set", "search.patience=10000"]
    words = ["search", root / "recipes/toy.toml", "--run", run, *more]
    history = run / "history.jsonl"
    status, said = ended(words, lambda: history.is_file() and history.stat().st_size, root)
    assert status == 143, said
    assert "resume" in said


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_sigterm_ends_a_sweep_that_can_go_on(jobs: str, root: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    more = ["--over", "seed=0..1000", "--trials", "1000", "--jobs", jobs, "--set", "search.method=hswarm"]
    words = ["sweep", root / "recipes/toy.toml", "--run", tmp_path / "sweep", *more]
    status, said = ended(words, lambda: len(list((tmp_path / "sweep/trials").glob("*"))) > 0, root)
    assert status == 143, said
    assert f"kept in {tmp_path / 'sweep'}; the same command continues" in said


@pytest.mark.slow
@pytest.mark.model
def test_sigterm_ends_a_training_that_can_go_on(root: Path, tmp_path: Path) -> None:
    rows = [{"prompt": f"What is {i}?", "response": str(i % 7)} for i in range(400)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    base = root / "experts/micro/base"
    experts = "".join(f'[[experts]]\nname = "{name}"\nfiles = ["rows.jsonl"]\n' for name in ("one", "two"))
    recipe = tmp_path / "train.toml"
    recipe.write_text(f'base = "{base}"\nout = "pool"\nrank = 2\nbatch = 8\nsteps = 4\n{experts}steps = 100000\n')
    status, said = ended(["experts", "train", recipe], lambda: (tmp_path / "pool/one").is_dir(), root)
    assert status == 143, said
    assert "kept the experts that were finished; the same command continues" in said
    assert [path.name for path in (tmp_path / "pool").iterdir() if not path.name.startswith(".")] == ["one"]


def test_a_run_is_its_recipe_and_no_name_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text("")
    assert recipe_of(str(tmp_path)) == str(tmp_path / "config.toml")
    monkeypatch.chdir(tmp_path)
    assert recipe_of(".") == "config.toml"
    assert recipe_of("") == ""


def test_memory_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: object) -> None:
        np.zeros((1 << 40, 1 << 10))

    monkeypatch.setattr("hswarm.cli.listing.show_list", run)
    assert main(["list", "methods"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("hswarm: not enough memory (Unable to allocate")
    assert said.endswith("; ask for less\n")
    assert said.count("\n") == 1
