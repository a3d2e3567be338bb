"""The search finds what was planted, repeats itself, and cannot tell an interruption from none."""

import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hswarm
from hswarm.config.recipe import Recipe, build_recipe, read_recipe
from hswarm.errors import HSwarmError, RunError
from hswarm.experiments.search import resume, search
from hswarm.runs.directory import Run
from hswarm.session.budget import BudgetSpent
from hswarm.session.session import Session
from tests.conftest import Interrupt, toy_content
from tests.known import known, score


def result(path: Path) -> tuple[Any, Any, dict[str, Any]]:
    """What must be equal between equal runs: history, best system, and the report less times."""
    report = json.loads((path / "report.json").read_text())
    del report["wall_s"]
    best = {
        str(file.relative_to(path)): file.read_bytes() for file in sorted((path / "best").rglob("*")) if file.is_file()
    }
    return (path / "history.jsonl").read_bytes(), report, best


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 4))])
def test_finds_the_planted_system(tmp_path: Path, root: Path, seed: int) -> None:
    report = search(read_recipe(root / "recipes/toy.toml", [f"seed={seed}"]), tmp_path / "run").report
    assert score(report.start.dev) < 0.6  # no lucky draw: the steps find it
    assert report.dev.score == 1.0
    assert score(report.test) >= 0.98
    assert score(report.best_single.test) < 0.5


@pytest.mark.slow
def test_weights_and_roles_together_beat_either_alone(tmp_path: Path, root: Path) -> None:
    mean = {}
    for steps in ("role", "weight", "role weight"):
        changes = [f"search.steps={json.dumps(steps.split())}", "search.iterations=12", "search.nodes=4"]
        found = [
            search(read_recipe(root / "recipes/toy.toml", [*changes, f"seed={seed}"]), tmp_path / f"{steps}{seed}")
            for seed in range(4)
        ]
        mean[steps] = np.mean([run.report.dev.score for run in found])
    assert mean["role weight"] > max(mean["role"], mean["weight"])


def test_same_seed_same_run_and_another_seed_another(tmp_path: Path, toy_recipe: Recipe) -> None:
    search(toy_recipe, tmp_path / "a")
    search(toy_recipe, tmp_path / "b")
    search(toy_recipe.model_copy(update={"seed": 1}), tmp_path / "c")
    assert result(tmp_path / "a") == result(tmp_path / "b")
    assert result(tmp_path / "a")[0] != result(tmp_path / "c")[0]


def test_reuse_is_lossless(tmp_path: Path, toy_recipe: Recipe) -> None:
    search(toy_recipe, tmp_path / "with")
    search(build_recipe(toy_content(reuse=False)), tmp_path / "without")
    (_, one, _), (_, two, _) = result(tmp_path / "with"), result(tmp_path / "without")
    assert one["calls"]["generated"] < two["calls"]["generated"] == two["calls"]["requested"]
    assert [one[key] for key in ("dev", "test", "topology", "start")] == [
        two[key] for key in ("dev", "test", "topology", "start")
    ]


def test_the_saved_system_is_the_scored_one(tmp_path: Path, toy_recipe: Recipe) -> None:
    run = search(toy_recipe, tmp_path / "run")
    system = hswarm.load(run.path)
    parts = Session.load(toy_recipe)
    (nodes,) = parts.executor.run([system], parts.task.dev, "again")
    answers = [completion.text for completion in nodes[system.topology.sink]]
    assert np.mean([a == e.answer for a, e in zip(answers, parts.task.dev, strict=True)]) == run.report.dev.score
    assert system.respond([example.question for example in parts.task.dev]) == answers


@pytest.mark.parametrize("after", [1, 2, 5, 9, 14, 22, 30, 41, 55, 70])
def test_interrupted_and_resumed_is_never_stopped(tmp_path: Path, toy_recipe: Recipe, after: int) -> None:
    search(toy_recipe, tmp_path / "whole")
    try:
        search(toy_recipe, tmp_path / "broken", Interrupt(after))
    except KeyboardInterrupt:
        resume(tmp_path / "broken")
    assert result(tmp_path / "whole") == result(tmp_path / "broken")


@pytest.mark.parametrize("after", [12, 20, 30])
def test_interrupted_where_evaluations_are_dropped(tmp_path: Path, after: int) -> None:
    recipe = build_recipe(toy_content(drop_k=0.2, drop_n=0.4, iterations=8, patience=8))
    search(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        search(recipe, tmp_path / "broken", Interrupt(after))
    resume(tmp_path / "broken")
    assert result(tmp_path / "whole") == result(tmp_path / "broken")


@pytest.mark.parametrize("after", [25, 40])
def test_old_calls_are_dropped(tmp_path: Path, after: int) -> None:
    """Scores stay as they were, the cache does not grow, and an interruption changes nothing."""
    size = {"iterations": 8, "patience": 8}
    ample = search(build_recipe(toy_content(**size)), tmp_path / "ample")
    recipe = build_recipe(toy_content(**size, keep_calls=1))
    sparing = search(recipe, tmp_path / "whole")
    assert [line.role.utilities for line in sparing.history()] == [line.role.utilities for line in ample.history()]
    steps = [_steps(run.path) for run in (ample, sparing)]
    assert {step for step in steps[1] if step.isdigit()} == {"7"}
    assert len([step for step in steps[0] if step.isdigit()]) > 1
    with pytest.raises(KeyboardInterrupt):
        search(recipe, tmp_path / "broken", Interrupt(after))
    resume(tmp_path / "broken")
    assert result(tmp_path / "whole") == result(tmp_path / "broken")


def _steps(path: Path) -> Any:
    """The iterations (and other pieces of work) that made the calls that are kept."""
    with contextlib.closing(sqlite3.connect(path / "cache.sqlite")) as database:
        return {step.split("/")[0] for (step,) in database.execute("SELECT step FROM calls")}


@pytest.mark.slow
def test_killed_at_random_moments_ends_byte_equal(tmp_path: Path, root: Path) -> None:
    changes = ["--set", "search.iterations=6", "--set", "search.patience=6", "--set", "engine.batch=20"]
    command = [sys.executable, "-m", "hswarm.cli.main"]
    environment = os.environ | {"PYTHONPATH": str(root / "src")}

    def start(*words: Any) -> Any:
        return subprocess.Popen(
            [*command, *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    recipe, broken, rng, kills = str(root / "recipes/toy.toml"), tmp_path / "broken", random.Random(0), 0
    assert start("search", recipe, *changes, "--run", str(tmp_path / "whole")).wait() == 0
    process = start("search", recipe, *changes, "--run", str(broken))
    while kills < 12:
        grown = size(broken) + rng.randrange(1, 200_000)  # so far it may get
        while process.poll() is None and size(broken) < grown:
            time.sleep(0.002)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills += 1
        process = start("resume", str(broken))
    assert process.wait() == 0
    assert kills >= 2
    assert result(tmp_path / "whole") == result(broken)


def size(path: Path) -> int:
    """Bytes of all files in a run."""
    total = 0
    for file in path.glob("**/*.*"):
        with contextlib.suppress(FileNotFoundError):  # files come and go meanwhile
            total += file.stat().st_size
    return total


def test_test_is_looked_at_once(toy_recipe: Recipe) -> None:
    parts = Session.load(toy_recipe)
    evaluator = parts.evaluator
    evaluator.final([evaluator.alone(parts.pool.experts[0])])
    with pytest.raises(HSwarmError, match="already looked at"):
        evaluator.final([])


def test_a_budget_ends_a_search_and_is_not_exceeded(tmp_path: Path) -> None:
    recipe = build_recipe(toy_content(patience=20, iterations=20) | {"budget": {"calls": 500}})
    report = search(recipe, tmp_path / "run").report
    ((reason, calls),) = report.stopped.items()
    assert reason == "budget"
    assert 300 < calls <= 500
    with pytest.raises(BudgetSpent, match="10 calls"):
        search(build_recipe(toy_content() | {"budget": {"calls": 10}}), tmp_path / "small")


def test_a_budget_that_ends_within_the_first_roles_still_finds_a_system(tmp_path: Path) -> None:
    recipe = build_recipe(toy_content(graphs=6) | {"budget": {"calls": 120}})
    run = search(recipe, tmp_path / "run")
    assert run.report.stopped == {"budget": 80}  # the experts alone, and of the first graphs what the rest allows
    assert not run.history()[0].role.utilities
    assert run.best.topology.size == 3


def test_a_finished_run_is_not_resumed(tmp_path: Path, toy_recipe: Recipe) -> None:
    search(toy_recipe, tmp_path / "run")
    with pytest.raises(RunError, match="is finished"):
        resume(tmp_path / "run")


def test_a_second_process_is_refused(tmp_path: Path, toy_recipe: Recipe) -> None:
    with Run.create(tmp_path / "run", toy_recipe), pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
        resume(tmp_path / "run")


@pytest.mark.parametrize("preset", ["paper", "reference"])
def test_presets_run(tmp_path: Path, preset: str) -> None:
    content = toy_content() | {"preset": preset}
    report = search(build_recipe(content), tmp_path / "run").report
    assert report.iterations == 4
    assert report.calls.requested > 0


def test_roles_alone_leave_the_weights(tmp_path: Path) -> None:
    search(build_recipe(toy_content(steps=["role"])), tmp_path / "run")
    history = Run.open(tmp_path / "run").history()
    assert all("role" in line.model_fields_set and "weight" not in line.model_fields_set for line in history)


def test_fewer_nodes_than_experts_take_the_best_alone(tmp_path: Path, root: Path) -> None:
    content = toy_content()
    content["search"]["nodes"] = 3
    recipe = build_recipe(content)
    run = search(recipe, tmp_path / "run")
    assert run.report.topology.size == 3


def test_history_and_report_hold_what_design_promises(tmp_path: Path, toy_recipe: Recipe) -> None:
    run = search(toy_recipe, tmp_path / "run")
    report = run.report
    low, high = known(report.dev.ci)
    assert low <= score(report.dev) <= high
    assert report.calls.requested == report.calls.generated + report.calls.reused
    assert [line.iteration for line in run.history()] == list(range(report.iterations))
    assert score(report.dev) >= max(known(line.role.highest) for line in run.history())


def test_the_history_of_the_toy_recipe_stays_as_it_was(tmp_path: Path, root: Path) -> None:
    search(read_recipe(root / "recipes/toy.toml", ["search.method=hswarm"]), tmp_path / "run")
    kept = root / "tests/runs/version_1/toy-history.jsonl"
    assert (tmp_path / "run/history.jsonl").read_bytes() == kept.read_bytes()
