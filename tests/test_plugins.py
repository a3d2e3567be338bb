"""A tiny package, really installed, adds a task, a scorer, an engine and a method by entry point; a recipe uses them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "tiny-plugin"
version = "1"
[project.entry-points."hswarm.tasks"]
doubles = "tiny_plugin:doubles"
[project.entry-points."hswarm.scorers"]
ends-with = "tiny_plugin:ends_with"
[project.entry-points."hswarm.engines"]
echo = "tiny_plugin:Echo"
[project.entry-points."hswarm.methods"]
second_best = "tiny_plugin:second_best"
[tool.setuptools]
py-modules = ["tiny_plugin"]
"""
RECIPE = """
[task]
name = "doubles"
scorer = "ends-with"
[engine]
name = "ENGINE"
[pool]
path = "POOL"
[search]
graphs = 2
assignments = 6
iterations = 1
"""


def code_of(page):
    """The Python block of a guide: what the guide says is what is installed here."""
    return page.read_text().split("```python\n")[1].split("```")[0]


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    source, target = tmp_path_factory.mktemp("tiny"), tmp_path_factory.mktemp("target")
    (source / "pyproject.toml").write_text(PYPROJECT)
    guides = ("adding-a-task", "adding-a-scorer", "adding-an-engine", "adding-a-method")
    (source / "tiny_plugin.py").write_text("\n".join(code_of(ROOT / "docs" / f"{g}.md") for g in guides))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            str(target),
            str(source),
        ],
        check=True,
    )
    return target


def hswarm(target, *arguments):
    path = os.pathsep.join([str(target), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "hswarm.cli.main", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        check=False,
    )


def test_plug_ins_are_listed_and_used(target, tmp_path):
    listed = hswarm(target, "ls").stdout
    for name in ("doubles", "ends-with", "echo"):
        assert name in listed
    shown = hswarm(target, "tasks", "show", "doubles")
    assert "10 dev, 20 test questions; scorer exact" in shown.stdout, shown.stderr
    recipe = tmp_path / "plug.toml"
    pool = str(ROOT / "experts" / "smollm2")
    recipe.write_text(RECIPE.replace("ENGINE", "echo").replace("POOL", pool))
    methods = hswarm(target, "ls", "methods").stdout
    assert "second_best\tThe expert that is second best alone\t-" in methods
    found = hswarm(target, "search", str(recipe), "--run", str(tmp_path / "run"))
    assert found.returncode == 0, found.stderr
    assert "task doubles" in found.stdout
    again = hswarm(target, "search", str(recipe), "--method", "second_best", "--run", str(tmp_path / "second"))
    assert again.returncode == 0, again.stderr
    recipe.write_text(RECIPE.replace("ENGINE", "ecko").replace("POOL", pool))
    wrong = hswarm(target, "plan", str(recipe))
    assert (wrong.returncode, "did you mean 'echo'" in wrong.stderr) == (2, True)
