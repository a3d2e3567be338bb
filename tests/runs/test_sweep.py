"""A sweep finds the setting that is known to be right, goes on where it was killed, and never looks at test."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hswarm.cli.main import main
from hswarm.cli.sweep import best_of_many
from hswarm.config.recipe import build_recipe, read_recipe
from hswarm.errors import ConfigError
from hswarm.experiments.parameters import SPACES, read_space
from hswarm.experiments.sweep import Plan, Trial
from hswarm.runs.directory import Run

pytest.importorskip("optuna")
SMALL = [
    "--set",
    "task.dev=8",
    "--set",
    "task.test=20",
    "--set",
    "search.iterations=4",
    "--set",
    "search.graphs=4",
    "--set",
    "search.assignments=4",
    "--set",
    "search.patience=9",
]


def words(root: Path, path: Path, *more: Any) -> list[str]:
    return ["sweep", str(root / "recipes/toy.toml"), *SMALL, "--run", str(path), *more]


def outcome(path: Path) -> tuple[Any, list[Any]]:
    content = json.loads((path / "results.json").read_text())
    return content, [(path / "trials" / f"{row['trial']:04d}/history.jsonl").read_bytes() for row in content["trials"]]


def test_a_sweep_from_the_command_line(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = words(
        root, tmp_path / "s", "--over", "weight.step_length=[0.3, 5.0]", "--over", "search.graphs=2..5", "--trials", "5"
    )
    assert main(given) == 0
    said = capsys.readouterr()
    content, _ = outcome(tmp_path / "s")
    assert len(content["trials"]) == 5
    assert {row["state"] for row in content["trials"]} <= {"complete", "pruned"}
    scores = [row["score"] for row in content["trials"] if row["state"] == "complete"]
    assert content["best"]["score"] == max(scores)
    assert f"{max(scores):.3f}" in said.out
    best = read_recipe(tmp_path / "s/best.toml")
    assert best.weight.step_length == content["best"]["parameters"]["weight.step_length"]
    for row in content["trials"]:
        folder = tmp_path / "s/trials" / f"{row['trial']:04d}"
        assert read_recipe(folder / "config.toml").search.graphs == row["parameters"]["search.graphs"]
        if row["state"] == "complete":
            assert json.loads((folder / "report.json").read_text())["test"] is None  # nobody has seen it
    pictured = (tmp_path / "s/sweep.svg").read_text()
    assert "<svg" in pictured
    assert main(["search", str(tmp_path / "s/best.toml"), "--run", str(tmp_path / "run")]) == 0
    report = Run.open(tmp_path / "run").report
    assert report.test is not None
    assert report.dev.score == content["best"]["score"]
    assert report.calls.requested > 500
    assert report.test.n == 20
    assert report.calls.generated <= 9 * 20  # test's alone: the search finds all its calls made by the trial
    assert main([*given[:-1], "6"]) == 0
    assert "5 trials are there already" in capsys.readouterr().err
    assert main([*given, "--sampler", "random"]) == 2
    assert "another sweep.json; take another folder" in capsys.readouterr().err


def test_a_killed_sweep_ends_as_if_it_had_not_been(tmp_path: Path, root: Path) -> None:
    more = ["--over", "role.inertia=0.05..0.6", "--trials", "3", "--pruner", "none"]
    command = [sys.executable, "-m", "hswarm.cli.main", *words(root, tmp_path / "killed", *more)]
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    for trial in (0, 2):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seen = tmp_path / "killed/trials" / f"{trial:04d}/history.jsonl"
        while process.poll() is None and not (seen.exists() and seen.stat().st_size):
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert subprocess.run(command, env=environment, check=False, capture_output=True).returncode == 0
    assert main(words(root, tmp_path / "whole", *more)) == 0
    assert outcome(tmp_path / "killed")[1] == outcome(tmp_path / "whole")[1]
    assert outcome(tmp_path / "killed")[0] == outcome(tmp_path / "whole")[0]


def test_trials_side_by_side(tmp_path: Path, root: Path) -> None:
    assert (
        main(
            words(
                root,
                tmp_path / "s",
                "--over",
                "role.social=[0.2, 0.4]",
                "--over",
                "role.repel=[0.01, 0.1]",
                "--sampler",
                "grid",
                "--pruner",
                "none",
                "--jobs",
                "2",
            )
        )
        == 0
    )
    rows = outcome(tmp_path / "s")[0]["trials"]
    assert len({tuple(row["parameters"].values()) for row in rows}) == len(rows) == 4


def test_hopeless_trials_are_given_up_early(tmp_path: Path, root: Path) -> None:
    """One node cannot do three steps, whatever it weighs."""
    assert (
        main(
            words(
                root,
                tmp_path / "s",
                "--over",
                "search.nodes=[1, 3]",
                "--sampler",
                "random",
                "--trials",
                "9",
                "--set",
                "task.options.toy.steps=3",
                "--set",
                "task.dev=6",
                "--set",
                "search.iterations=4",
            )
        )
        == 0
    )
    rows = outcome(tmp_path / "s")[0]["trials"]
    given_up = [row for row in rows if row["state"] == "pruned"]
    assert given_up
    assert all(row["parameters"]["search.nodes"] == 1 for row in given_up)
    assert all(row["iterations"] < 4 for row in given_up)


def test_a_sweep_says_how_many_points_it_drew_and_what_the_best_is_worth() -> None:
    rows = [
        Trial(trial=i, state="complete", score=0.5, parameters={"a": value}, iterations=1, fault="")
        for i, value in enumerate((1, 2, 2))
    ]
    said = best_of_many(Plan(tuple(read_space(SPACES["paper"]))), rows)
    assert "2 of 1,350 points" in said
    assert "winner's curse" in said
    assert "2 points drawn" in best_of_many(Plan(tuple(read_space(["role.inertia=0.1..0.3"]))), rows)


def test_the_papers_grid_fits_every_recipe() -> None:
    space = read_space(SPACES["paper"])
    assert len(space) == 5
    for dimension in space:
        for value in dimension.labels:
            assert all(text.startswith(("role.", "weight.")) for text in dimension.overrides(value))
    assert build_recipe({}).role.inertia in space[0].choices


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("role.inertia=0.5..0.1", "the lower first"),
        ("role.inertia=0..1 log", "above 0 if log"),
        ("x", "no field"),
        ("role.inertia=3", "expected a list"),
        ("role.inertia=a..b", "--over takes"),
    ],
)
def test_what_cannot_be_varied_is_refused(text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        read_space([text])


def test_a_field_that_is_not_there_is_refused_before_anything_is_spent(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(root, tmp_path / "s", "--over", "role.inertai=0.1..0.2")) == 2
    assert "did you mean 'inertia'" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
    assert main(words(root, tmp_path / "s")) == 2
    assert "nothing to vary" in capsys.readouterr().err


def test_the_papers_grid_is_drawn_at_random_and_no_trial_given_up(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(root, tmp_path / "s", "--space", "paper", "--trials", "3")) == 0
    plan = json.loads((tmp_path / "s/sweep.json").read_text())
    assert (plan["sampler"], plan["pruner"]) == ("random", "none")
    rows = outcome(tmp_path / "s")[0]["trials"]
    assert [row["state"] for row in rows] == ["complete"] * 3
    grid = {parameter.name: parameter.choices for parameter in read_space(SPACES["paper"])}
    assert all(value in grid[name] for row in rows for name, value in row["parameters"].items())
    best = read_recipe(tmp_path / "s/best.toml")
    assert best.role.inertia == best.weight.inertia
    assert "3 of 1,350 points" in capsys.readouterr().out
