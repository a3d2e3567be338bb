"""What users get wrong at the command line ends on one line that says what to write."""

import os
import signal
import subprocess
import sys
import time

import pytest

from hswarm.cli.main import main


def fault(arguments, capsys):
    """The one line that a mistaken command ends with."""
    try:
        status = main([str(argument) for argument in arguments])
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
        (["ls", "taks"], "did you mean 'tasks'?"),
        (["experts", "chek"], "did you mean 'check'?"),
        (["serve", "x", "--port", "99999"], "expected a port from 0 (any free one) to 65535, got '99999'"),
        (["serve", "x", "--port", "-1"], "expected a port"),
        (["serve", "x", "--port", "http"], "expected a port"),
        (["ask"], "required: RUN, question; see hswarm ask --help"),
    ],
)
def test_near_names_ports_and_what_is_missing(arguments, words, capsys):
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
    ],
)
def test_recipes_speak_of_what_to_write(change, words, root, tmp_path, capsys):
    said = fault(["search", root / "recipes/toy.toml", "--set", change, "--run", tmp_path / "run"], capsys)
    assert words in said
    assert "valid" not in said


@pytest.mark.parametrize("command", [["show"], ["report"], ["resume"], ["analyze"], ["serve"], ["evaluate"], ["ask"]])
def test_the_wrong_kind_of_folder_is_named(command, root, tmp_path, capsys):
    more = ["why?"] if command == ["ask"] else []
    assert "it is a recipe: hswarm search" in fault([*command, root / "recipes/toy.toml", *more], capsys)
    assert "it is an adapter" in fault([*command, root / "experts/micro/pool/gul", *more], capsys)
    assert "nothing is there" in fault([*command, tmp_path / "gone", *more], capsys)
    (tmp_path / "runs/one").mkdir(parents=True)
    (tmp_path / "runs/one/config.toml").write_text("")
    assert "it holds runs: name one" in fault([*command, tmp_path / "runs", *more], capsys)


def test_a_recipe_is_a_file(root, capsys):
    assert "it is a run: hswarm show" in fault(["search", root / "tests/runs/version_1/run"], capsys)
    assert "it is an adapter" in fault(["compare", root / "experts/micro/pool/gul"], capsys)


def test_brackets_in_paths_are_printed_as_they_are(root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recipe = str(root / "recipes/toy.toml")
    assert main(["compare", recipe, "--methods", "best_single", "--seeds", "1", "--run", "c[/x]y[red]"]) == 0
    assert "c[/x]y[red]" in capsys.readouterr().out


def test_a_name_that_the_file_system_refuses(root, tmp_path, capsys):
    fault(["search", root / "recipes/toy.toml", "--run", tmp_path / ("n" * 300)], capsys)


def test_sigterm_ends_a_search_that_can_go_on(root, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "hswarm.cli.main"]
    more = ["--set", "search.method=hswarm", "--set", "search.iterations=10000", "--set", "search.patience=10000"]
    search = subprocess.Popen(
        [*command, "search", str(root / "recipes/toy.toml"), "--run", str(run), *more],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
    )
    for _ in range(600):
        if (run / "history.jsonl").is_file() and (run / "history.jsonl").stat().st_size:
            break
        time.sleep(0.05)
    search.send_signal(signal.SIGTERM)
    said = search.communicate(timeout=60)[1]
    assert search.returncode == 143, said
    assert "resume" in said
    assert "Traceback" not in said
