"""The command line as a whole: groups, old names, completion, lists, JSON."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hswarm.cli.main import OLD, main
from hswarm.cli.parser import ACTIONS, COMMANDS, parser
from hswarm.cli.rooms import LISTS
from hswarm.config.fields import MAIN, fields
from hswarm.config.recipe import build_recipe, read_recipe
from hswarm.experiments.search import search
from tests.conftest import Interrupt, toy_content

GROUPS = ["find:", "look:", "use:", "compare:", "experts and data:"]


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_help_lists_every_command_once_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys).splitlines()
    at = [lines.index(group) for group in GROUPS]
    assert at == sorted(at)
    shown = [line.split()[0] for line in lines[at[0] :] if line.startswith("  ")]
    assert shown == list(COMMANDS)
    assert max(map(len, lines)) <= 120


def commands(made: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """`made` and every parser below it."""
    groups = [action for action in made._actions if isinstance(action, argparse._SubParsersAction)]
    return [made, *(one for group in groups for inner in group.choices.values() for one in commands(inner))]


def test_every_argument_says_what_it_is() -> None:
    every = commands(parser())
    assert len(every) == 1 + len(COMMANDS) + len(ACTIONS)
    for made in every[1:]:
        for action in made._actions:
            if isinstance(action, argparse._SubParsersAction) or action.dest == "question":
                continue
            assert action.help or action.choices, f"{made.prog} {action.dest}"
            assert action.metavar or action.choices or action.nargs == 0 or action.option_strings, made.prog


@pytest.mark.parametrize("old", OLD)
def test_old_names_still_work_and_are_not_shown(old: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    rest = {
        "list": ["presets"],
        "import-reference": ["-n", "nlgraph", "-e", "exact_match", "-d", "nlgraph", "-g", "0"],
    }[OLD[old]]
    assert printed(capsys, *old, *rest) == printed(capsys, OLD[old], *rest)
    assert old[0] not in COMMANDS


def completions(line: str, folder: Path) -> list[str]:
    """What the shell is offered after `line`."""
    environment = os.environ | {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(folder / "offered"),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    run = [sys.executable, "-m", "hswarm.cli.main"]
    subprocess.run(run, env=environment, cwd=folder, check=True, capture_output=True)
    return [word.strip() for word in (folder / "offered").read_text().split("\n")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hswarm imp", ["import-reference"]),
        ("hswarm experts d", ["download"]),
        ("hswarm list an", ["analyses"]),
        ("hswarm search x.toml --method model_s", ["model_swarms"]),
        ("hswarm compare x.toml --methods growth,model_s", ["growth,model_swarms"]),
        ("hswarm search x.toml --set engine.dty", ["engine.dtype="]),
        ("hswarm show ru", ["runs/"]),
        ("hswarm l", ["list"]),
    ],
)
def test_the_shell_is_offered_what_may_come_next(line: str, expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert completions(line, tmp_path) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_code_for_the_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = printed(capsys, "completion", shell)
    assert "hswarm" in code
    assert "_ARGCOMPLETE" in code


def test_fields_are_those_of_a_recipe_and_can_be_searched(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(printed(capsys, "list", "fields", "--json", "-"))
    assert {row["field"] for row in rows[: len(MAIN)]} == set(MAIN)
    content = build_recipe({}).model_dump(mode="json")
    for row in rows:
        section, _, name = row["field"].partition(".")
        if name and "." not in name:
            assert content[section][name] == (None if row["default"] == "none" else json.loads(row["default"])), row
    known = {f"{section}.{name}" for section, inner in content.items() if isinstance(inner, dict) for name in inner}
    assert known <= {field.name for field in fields()}
    (row,) = json.loads(printed(capsys, "list", "fields", "dropout_role", "--json", "-"))
    assert (row["type"], row["default"]) == ("number", "0.0")
    assert not [row["field"] for row in rows if not row["meaning"]]
    (row,) = json.loads(printed(capsys, "list", "fields", "search.iterations", "--json", "-"))
    assert row["range"] == ">= 1"
    assert "no fields with 'nothing at all'" in printed(capsys, "list", "fields", "nothing at all")


@pytest.mark.parametrize("name", LISTS)
def test_every_list_prints_rows_or_says_that_there_are_none(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = printed(capsys, "list", name)
    rows = json.loads(printed(capsys, "list", name, "--json", "-"))
    assert bool(rows) == (name != "runs")
    for row in rows:
        assert next(iter(row.values())) in text


def test_json_goes_to_a_file_beside_the_table_or_to_standard_output_alone(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    search(build_recipe(toy_content()), run)
    recipe, pool = str(root / "recipes/toy.toml"), str(root / "experts/micro/pool")
    commands = {
        ("show", run): "dev",
        ("plan", recipe, "--quick"): "calls",
        ("ask", run, "toy 0.0: steps 0; difficulty 0.20"): "reply",
        ("evaluate", run): "score",
        ("tasks", "show", recipe): "dev",
        ("tasks", "show", "gsm8k"): "licence",
        ("tasks", "check", recipe): "verdict",
        ("experts", "check", pool): "experts",
        ("experts", "show", pool): "diversity",
        ("list",): "methods",
    }
    file = tmp_path / "result.json"
    for words, key in commands.items():
        table = printed(capsys, *words)
        assert printed(capsys, *words, "--json", str(file)) == table, words
        assert json.loads(printed(capsys, *words, "--json", "-")) == json.loads(file.read_text()), words
        assert key in json.loads(file.read_text()), words


def test_show_says_as_json_how_far_an_unfinished_run_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        search(build_recipe(toy_content()), path, Interrupt(40))
    told = json.loads(printed(capsys, "show", str(path), "--json", "-"))
    assert told["state"] == "interrupted"
    assert told["name"] == read_recipe(path / "config.toml").name


def test_the_quickstart_tells_the_main_settings(root: Path) -> None:
    text = (root / "docs/quickstart.md").read_text().split("## The settings that matter")[1].split("\n## ")[0]
    told = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert told == list(MAIN)
