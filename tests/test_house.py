"""The house in order: imports point one way, public names exist, words are clean."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import hswarm

ORDER = [
    "errors",
    "consent",
    "io",
    "records",
    "patterns",
    "registry",
    "options",
    "workers",
    "plots",
    "core",
    "tasks",
    "prompts",
    "experts",
    "scorers",
    "tools",
    "engines",
    "system",
    "config_parts",
    "config",
    "compat",
    "starters",
    "training",
    "session",
    "methods",
    "runs",
    "analysis",
    "report",
    "experiments",
    "bundle",
    "server",
    "cli",
]
PARTS = {"session.settings": "config_parts"}  # a recipe is made of the rooms' settings


def room(module: str) -> str:
    parts = module.removeprefix("hswarm.").split(".")
    return PARTS.get(".".join(parts), parts[0])


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hswarm."):
            yield node.module


def test_imports_point_upwards(root: Path) -> None:
    source = root / "src/hswarm"
    for path in sorted(source.rglob("*.py")):
        module = "hswarm." + ".".join(path.relative_to(source).with_suffix("").parts)
        if path == source / "__init__.py":
            continue
        for target in imports(path):
            assert ORDER.index(room(target)) <= ORDER.index(room(module)), f"{module} imports {target}"


def modules_imported(path: Path, modules: set[str]) -> set[str]:
    """The modules of hswarm that the code at `path` imports, for types alone included; a room stands for its __init__."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "hswarm":
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else node.module for name in names}
    return found


def test_no_module_imports_itself_by_way_of_others(root: Path) -> None:
    source = root / "src/hswarm"
    paths = {
        ".".join(("hswarm", *path.relative_to(source).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in source.rglob("*.py")
    }
    del paths["hswarm"]  # it names the public parts, and imports each when it is first used
    sorter = TopologicalSorter(
        {name: modules_imported(path, set(paths)) & paths.keys() for name, path in paths.items()}
    )
    try:
        sorter.prepare()
    except CycleError as fault:
        pytest.fail(f"circle of imports: {' -> '.join(fault.args[1])}")


def test_few_lines_name_any(root: Path) -> None:
    """Values of no known type are those of libraries without types, and of JSON before it is checked."""
    lines = [line for path in (root / "src/hswarm").rglob("*.py") for line in path.read_text().splitlines()]
    assert sum(bool(re.search(r"\bAny\b", line)) for line in lines) <= 120


def test_every_room_says_what_lives_there(root: Path) -> None:
    for room_file in sorted((root / "src/hswarm").glob("*/__init__.py")):
        assert ast.get_docstring(ast.parse(room_file.read_text())), f"{room_file} says nothing of its room"


@pytest.mark.parametrize("name", hswarm.__all__)
def test_public_names_exist_and_say_what_they_are(name: str) -> None:
    assert getattr(hswarm, name).__doc__


def test_import_is_light() -> None:
    code = "import sys, hswarm; from hswarm import g_decode, Swarm, Topology; print([x for x in ('torch', 'transformers', 'pydantic') if x in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_search_is_the_function() -> None:
    import hswarm.experiments.search

    assert callable(hswarm.search)


@pytest.mark.parametrize(("pool", "most"), [("micro", 15_000_000), ("smollm2", 15_000_000), ("steps", 15 * 2**20)])
def test_the_pools_are_small_enough_to_carry(root: Path, pool: str, most: int) -> None:
    files = [file for file in (root / "experts" / pool).rglob("*") if file.is_file()]
    assert 1_000_000 < sum(file.stat().st_size for file in files) < most


def test_extras_are_few_and_all_brings_them_all_but_vllm(root: Path) -> None:
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert list(extras) == ["cpu", "gpu", "train", "serve", "all", "vllm", "docs", "dev"]
    assert "hswarm[cpu,serve,train]" in extras["all"]
    assert all("hswarm[gpu]" in extras[name] for name in ("cpu", "train", "vllm"))


def test_whoever_misses_an_extra_is_told_one_that_there_is(root: Path) -> None:
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = set()
    for path in [*(root / "src").rglob("*.py"), *(root / "src").rglob("*.toml"), *(root / "docs").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        for names in re.findall(r"hswarm\[([a-z,]+)\]", text):
            told |= {(name, path.name) for name in names.split(",")}
        for names in re.findall(r"MissingExtra\((?:f?\".*?\"), ([^)]*)\)", text):
            told |= {(name, path.name) for name in re.findall(r'"(\w+)"', names)}
    assert {name for name, _ in told} >= {"cpu", "gpu", "train", "serve", "all"}
    assert [one for one in told if one[0] not in extras] == []


def test_the_two_commands_for_tests_run_every_test(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    commands = dict(re.findall(r"^(PYTEST|test|test-slow)(?: := |:.*\n\t)(.*)", makefile, re.M))
    assert (commands["test"], commands["test-slow"]) == ("$(PYTEST) -m 'not slow'", "$(PYTEST) -m slow")
    assert not re.search(r" -k|--deselect|--ignore|pytest.* -m", commands["PYTEST"])
    assert {"make test", "make test-slow"} <= set((root / ".ci/run").read_text().splitlines())
