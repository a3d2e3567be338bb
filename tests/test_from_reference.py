"""Moving house: recipes from the arguments of the authors' script, systems from its folders; docs/fidelity.md agrees."""

import json
import re
import shutil
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import hswarm
from hswarm.cli.main import main
from hswarm.compat.reference import FLAGS, recipe_content
from hswarm.config.recipe import Recipe, build_recipe, read_recipe
from hswarm.engines.base import Sampling
from hswarm.errors import ConfigError, PoolError, RunError
from hswarm.experts.adapter import Adapter
from hswarm.runs.directory import Run
from hswarm.system.reference import decoded

STARTER = (
    "-n nlgraph_{0.2}_{0.3} -e exact_match -d nlgraph -g 0,1 --patience 6 --inertia 0.2 --cognitive_coeff 0.3 "
    "--social_coeff 0.4 --repel_coeff 0.05 --step_length 0.8 --starting_test_set_eval 0 --fast_merge 1 "
    "--project_name_wb hetero --weight_randomness 1 --starting_velocity_mode random --repel_term 1 "
    "--step_length_factor 0.95 --restart_stray_particles 1 --restart_patience 0.67"
)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["import-reference", *words]) == 0
    return capsys.readouterr().out


def test_a_command_line_becomes_a_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/eval").mkdir(parents=True)
    text = printed(capsys, f"python search.py {STARTER}")
    assert text == printed(capsys, *STARTER.split())
    assert text == printed(capsys, "python search.py \\\n" + STARTER.replace(" --", " \\\n  --"))
    (tmp_path / "moved.toml").write_text(text)
    recipe = read_recipe("moved.toml")
    theirs = build_recipe({"preset": "reference"})
    assert (recipe.name, recipe.engine.devices, recipe.pool.path) == (
        "nlgraph_0.2_0.3",
        (0, 1),
        str(tmp_path / "initial_experts"),
    )
    assert (recipe.task.name, recipe.task.scorer, recipe.task.path) == ("nlgraph", "exact", str(tmp_path / "data/eval"))
    assert recipe.decode == theirs.decode
    assert recipe.search.weight_topology == "iteration"
    assert recipe.search.patience == recipe.role.patience == recipe.weight.patience == 6
    assert (recipe.search.iterations, recipe.search.clean_up) == (200, True)
    assert recipe.role == recipe.weight
    assert (recipe.track.project, recipe.track.to) == ("hetero", "")
    assert (recipe.role.inertia, recipe.role.cognitive, recipe.role.social, recipe.role.repel) == (0.2, 0.3, 0.4, 0.05)
    assert (recipe.role.step_length, recipe.role.step_factor, recipe.role.restart) == (0.8, 0.95, True)
    remarks = [line for line in text.splitlines() if line.startswith("# ")]
    assert any("acts here: step_length_factor = 0.95 " in line for line in remarks)
    assert any(line.endswith("why): fast_merge") for line in remarks)


def test_an_args_json_says_what_its_command_line_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "search/nlgraph_host"
    folder.mkdir(parents=True)
    given = dict(zip(*[iter(STARTER.split())] * 2, strict=True))
    short = {f"-{flag.short}": flag.name for flag in FLAGS if flag.short}
    args = {flag.name: flag.default for flag in FLAGS} | {short.get(k, k[2:]): v for k, v in given.items()}
    (folder / "args.json").write_text(json.dumps(args | {"graph_num": 10, "to_visualize": False}))
    monkeypatch.chdir(tmp_path)
    expected = printed(capsys, *STARTER.split())
    monkeypatch.chdir(folder)  # where the script was started is known from where the file lies
    assert printed(capsys, str(folder)) == printed(capsys, "args.json") == expected


def test_a_recipe_that_was_moved_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "moved.toml")
    line = "-n moved -e exact_match -d own --graph_num 3 -m 4 -p 4 --starting_velocity_mode best --repel_term 1 --dropN 0.5"
    assert main(["import-reference", *line.split(), "--out", out]) == 0
    assert main(["import-reference", *line.split(), "--out", out]) == 2  # nothing is overwritten
    changes = [
        "engine.name=toy",
        "pool.path=",
        "pool.base=",
        "pool.experts=[]",
        "task.name=toy",
        "task.path=",
        "task.dev=20",
        "task.test=20",
        "search.nodes=4",
    ]
    changed = [word for change in changes for word in ("--set", change)]
    assert main(["search", out, *changed, "--run", str(tmp_path / "run")]) == 0
    history = Run.open(tmp_path / "run").history()
    assert [len(line.role.utilities) for line in history] == [3] * 4
    assert any(line.role.dropped for line in history[1:])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"graph_nums": "3"}, "no flag 'graph_nums'; did you mean 'graph_num'"),
        ({"graph_num": "three"}, "graph_num: 'three'"),
        ({"eval_type": "rouge"}, "eval_type: 'rouge'"),
        ({"starting_velocity_mode": "fast"}, "starting_velocity_mode: 'fast'"),
        ({"dataset": None}, "dataset is missing"),
    ],
)
def test_what_cannot_be_moved_is_named(tmp_path: Path, changes: dict[str, str | None], told: str) -> None:
    given = {"name": "n", "eval_type": "exact_match", "dataset": "own"} | changes
    with pytest.raises(ConfigError, match=told):
        recipe_content({key: value for key, value in given.items() if value is not None}, tmp_path)


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"populate_initial_experts": "1", "initial_experts_num": "12"}, "pool.populate", 12),
        ({"populate_initial_experts": "0", "initial_experts_num": "12"}, "pool.populate", 0),
        ({"repel_term": "0", "repel_coeff": "0.3"}, "role.repel", 0.0),
        ({"base_model": "google/gemma-2b"}, "pool.base", "google/gemma-2b"),
        ({"base_model": "google/gemma-7b-it"}, "pool.base", ""),  # the default in every args.json, never used there
        ({"eval_type": "abstainqa"}, "task.name", "mmlu"),
        ({"eval_type": "gemini_match"}, "task.max_new_tokens", 200),
        ({"starting_test_set_eval": "1"}, "search.start_on_test", "all"),
        ({"weight_randomness": "0"}, "weight.coefficients_random", False),
    ],
)
def test_flags_that_work_together(tmp_path: Path, given: dict[str, str], field: str, value: object) -> None:
    content, _ = recipe_content({"name": "n", "eval_type": "exact_match", "dataset": "own"} | given, tmp_path)
    assert value_at(build_recipe(content), field) == value


# A folder as their search leaves it


def finished_search(
    folder: Path, pool: Path, matrix: NDArray[np.float64], assignment: list[int], names: list[str]
) -> Path:
    """all_time_best/ of the experts `names` of `pool`, and the files beside it."""
    best = folder / "all_time_best"
    (best / "graph").mkdir(parents=True)
    np.save(best / "graph/adjacency.npy", matrix)
    for i, name in enumerate(names):
        shutil.copytree(pool / name, best / f"models/model_{i}")
    (best / "assignment.json").write_text(json.dumps(assignment, indent=4))
    args = {flag.name: flag.default for flag in FLAGS} | {
        "name": folder.name,
        "eval_type": "exact_match",
        "dataset": "own",
        "gpus": "0",
    }
    (folder / "args.json").write_text(json.dumps(args, indent=4))
    lines = [f"INFO:root:expert {i}: ./initial_experts/{name}" for i, name in enumerate(names)]
    (folder / "log.txt").write_text("\n".join(["INFO:root:search initialized...", *lines]) + "\n")
    return folder


# Nodes join by falling outdegree, each where its own row is greatest: 3, then 2 -> 3, 1 -> 2, 0 -> 1.
CHAIN = np.array([[0, 0.9, 0.05, 0.05], [0.1, 0, 0.9, 0.1], [0.2, 0.2, 0, 0.9], [0.1, 0.1, 0.1, 0]])


@pytest.fixture
def old(tmp_path: Path, root: Path) -> Path:
    return finished_search(
        tmp_path / "search/own_host", root / "experts/micro/pool", CHAIN, [0, 1, 2, 2], ["tav", "lun", "wex", "zor"]
    )


def test_their_best_system_is_read_whole(old: Path, root: Path) -> None:
    system = hswarm.load(old)
    assert system.topology.edges == {(0, 1), (1, 2), (2, 3)}
    assert system.assignment == ["tav", "lun", "wex", "wex"]
    kept = Adapter.read(root / "experts/micro/pool/lun")
    assert system.experts[1].digest == kept.digest
    assert (system.prompts.layout, system.sampling, system.base) == ("paper", Sampling(50), "experts/micro/base")
    (old / "log.txt").unlink()
    assert hswarm.load(old).assignment == ["model_0", "model_1", "model_2", "model_2"]


def test_their_system_saved_is_an_ordinary_one(old: Path, tmp_path: Path) -> None:
    system = hswarm.load(old, base="elsewhere")
    system.save(tmp_path / "saved")
    again = hswarm.load(tmp_path / "saved")
    assert (again.topology, again.assignment, again.base) == (system.topology, system.assignment, "elsewhere")


@pytest.mark.model
def test_evaluated_and_asked_from_the_command_line(
    old: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hswarm.tasks.micro import WORLD

    rows = {
        split: [{"question": e.question, "answer": e.answer} for e in WORLD.generate(["tav+lun+wex"], 8, seed)]
        for seed, split in enumerate(("dev", "test"))
    }
    (tmp_path / "data/eval").mkdir(parents=True)
    (tmp_path / "data/eval/own.json").write_text(json.dumps(rows))
    words = ["evaluate", str(old), "--base", str(root / "experts/micro/base"), "--json", str(tmp_path / "out.json")]
    assert main(words) == 0
    assert "own test, exact" in capsys.readouterr().out
    told = json.loads((tmp_path / "out.json").read_text())
    assert (told["n"], told.get("failed", 0)) == (8, 0)
    system = hswarm.load(old, base=str(root / "experts/micro/base"))
    assert [reply["reply"] for reply in told["replies"]] == system.respond([row["question"] for row in rows["test"]])


@pytest.mark.parametrize(
    ("breaking", "error", "told"),
    [
        (lambda best: (best / "assignment.json").write_text("[0, 1, 2]"), RunError, "each of 4 nodes"),
        (lambda best: (best / "assignment.json").write_text('[0, 1, 2, "../../x"]'), RunError, "each of 4 nodes"),
        (lambda best: (best / "assignment.json").write_text("[0, 1, 2, 9]"), RunError, "missing: .*model_9"),
        (lambda best: shutil.rmtree(best / "graph"), RunError, "adjacency.npy cannot be read"),
        (lambda best: np.save(best / "graph/adjacency.npy", np.zeros((4, 3))), RunError, r"got shape \(4, 3\)"),
        (lambda best: np.save(best / "graph/adjacency.npy", np.array([[print]])), RunError, "cannot be read"),
        (lambda best: (best / "models/model_1/adapter_model.safetensors").write_bytes(b"x"), PoolError, "damaged"),
    ],
)
def test_a_broken_folder_says_what_is_wrong(
    old: Path, breaking: Callable[[Path], object], error: type[Exception], told: str
) -> None:
    breaking(old / "all_time_best")
    with pytest.raises(error, match=told):
        hswarm.load(old)


def test_the_sink_is_theirs_where_outdegrees_are_not_positive() -> None:
    """1/outdegree is greatest at the smallest positive one, not at the least."""
    rows = np.array([-3.0, 0.5, 2.0])
    matrix = np.tile(rows[:, None] / 2, (1, 3))
    np.fill_diagonal(matrix, 0)
    assert decoded(matrix).sink == 1
    assert decoded(-np.abs(matrix)).sink == 0  # all negative: the greatest magnitude
    assert decoded(np.abs(matrix)).sink == 1


# docs/fidelity.md


def value_at(recipe: Recipe, field: str) -> object:
    return attrgetter(field)(recipe)


def rows_of(root: Path) -> dict[str, list[str]]:
    lines = (root / "docs/fidelity.md").read_text().split("## Every flag")[1].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_the_map_names_every_flag_as_it_is_moved(root: Path) -> None:
    rows, recipe = rows_of(root), Recipe()
    assert list(rows) == [flag.name for flag in FLAGS]
    for flag in FLAGS:
        there, acts, here, default, tests = rows[flag.name]
        assert there == (flag.default or "needed"), flag.name
        assert acts.split(":")[0].split(",")[0] == ("yes" if flag.acts else "no"), flag.name
        named = tuple(field for field in re.findall(r"`([a-z_.]+)`", here) if "." in field or field == "name")
        spelt = tuple(
            full
            for field in named
            for full in ((field, field.replace("role.", "weight.")) if field.startswith("role.") else (field,))
        )
        assert spelt == flag.fields, flag.name
        if flag.fields and default != "the task's own":
            values = {json.dumps(value_at(recipe, field), default=str) for field in flag.fields}
            assert {default} == {value.strip('"') for value in values}, flag.name
        for path, name in re.findall(r"`(tests/\S+?)::(\w+)`", tests):
            assert f"def {name}(" in Path(root / path).read_text(), f"{flag.name}: no {name} in {path}"
        assert "::" in tests or not flag.fields, flag.name
