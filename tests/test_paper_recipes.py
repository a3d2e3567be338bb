"""recipes/paper: the paper's twelve tasks in the sizes that it reports, under its preset, with its ten experts."""

from pathlib import Path

import pytest

from hswarm.config.recipe import read_recipe
from hswarm.tasks import named

ROOT = Path(__file__).parent.parent
NAMES = ["abkg", "com2", "gaia", "gsm8k", "knowledge_crosswords", "ltp", "mmlu", "mmlu_pro"]
NAMES += ["nlgraph", "normad", "qasper", "wow"]


def test_there_is_one_a_task() -> None:
    assert sorted(path.stem for path in (ROOT / "recipes/paper").glob("*.toml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_the_paper_s_setting(name: str) -> None:
    recipe = read_recipe(ROOT / f"recipes/paper/{name}.toml")
    task = getattr(named, name)
    assert recipe.preset == "paper"
    assert recipe.task.name == name
    assert task.sizes is None or (recipe.task.dev, recipe.task.test) == task.sizes
    assert len(recipe.pool.experts) == 10
    assert recipe.pool.base == "google/gemma-7b-it"
