"""`hswarm new` and `hswarm demo`: what somebody has who installed the package and nothing else."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hswarm.cli.main import main
from hswarm.config.recipe import read_recipe
from hswarm.starters.recipe import KINDS, Own, starter


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_every_starter_is_a_recipe(kind: str, here: Path) -> None:
    assert main(["new", kind]) == 0
    recipe = read_recipe(here / f"{kind}.toml")
    assert recipe.name == kind


def test_a_recipe_that_is_there_is_never_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "toy.toml").write_text("mine")
    assert main(["new", "toy"]) == 2
    assert "toy.toml exists" in capsys.readouterr().err
    assert (here / "toy.toml").read_text() == "mine"


def test_own_looks_at_pool_and_data(here: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"question": f"{i} + 1?", "answer": str(i + 1), "split": "dev" if i < 6 else "test"} for i in range(10)]
    (here / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pool = root / "experts/micro/pool"
    assert main(["new", "own", "--pool", str(pool), "--data", "sums.jsonl", "--file", "sums.toml"]) == 0
    recipe = read_recipe(here / "sums.toml")
    assert Path(recipe.pool.path) == pool
    assert (recipe.task.dev, recipe.task.test, recipe.task.scorer) == (6, 4, "exact")
    assert recipe.budget.calls == 25 * 10 * 6


def test_own_names_what_is_wrong_with_the_pool(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "own", "--pool", "nowhere"]) == 2
    assert "no folder nowhere" in capsys.readouterr().err
    assert not (here / "own.toml").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [(["new", "toyy"], "did you mean 'toy'?"), (["new", "paper", "--pool", "x"], "belong to 'hswarm new own'")],
)
def test_mistakes_are_one_line(words: list[str], told: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert told in capsys.readouterr().err


def test_the_micro_starter_brings_its_world(here: Path) -> None:
    text = starter("micro", here / "try.toml", Own())
    assert 'path = "micro/pool"' in text
    assert (here / "micro/base/model.safetensors").is_file()
    assert len(list((here / "micro/pool").iterdir())) == 10


def test_the_micro_starter_is_whole_wherever_it_is_read(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its base, like its pool, counts from the recipe's folder, not from where the command is given."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert main(["new", "micro", "--file", str(elsewhere / "micro.toml")]) == 0
    pool = read_recipe(elsewhere / "micro.toml").pool
    assert (Path(pool.base), Path(pool.path)) == (elsewhere / "micro/base", elsewhere / "micro/pool")


def test_a_base_that_is_no_folder_stays_a_hub_id(here: Path) -> None:
    assert main(["new", "paper"]) == 0
    assert read_recipe(here / "paper.toml").pool.base == "google/gemma-7b-it"


def test_demo_runs_without_any_extra(here: Path) -> None:
    """With no torch to be found the demo searches the toy engine's world, to the end."""
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name in ('torch', 'transformers', 'peft') else find(name, *rest)\n"
        "from hswarm.cli.main import main; sys.exit(main(['demo', '--run', 'first']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    assert "the toy engine" in done.stderr
    assert (here / "first/run/report.json").is_file()


def test_the_smollm2_starter_brings_the_recipe_that_trains_its_pool(here: Path) -> None:
    assert main(["new", "smollm2"]) == 0
    lessons = tomllib.loads((here / "smollm2-pool.toml").read_text())
    assert lessons["out"] == tomllib.loads((here / "smollm2.toml").read_text())["pool"]["path"]
    assert "hswarm experts train smollm2-pool.toml" in (here / "smollm2.toml").read_text()
