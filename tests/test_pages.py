"""Every page of docs: its commands are ones that hswarm has, their fields exist, its Python compiles and finds its names.

This reads the pages, it does not run them: which pages are run as well, and which cannot be here, says RUN.
"""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

from hswarm.cli.parser import parser
from hswarm.config.fields import fields
from tests.pages import DOCS

# Pages whose commands a test runs, or why none does.
RUN = {
    "adding-a-task.md": "tests/test_parts.py",
    "adding-a-scorer.md": "tests/test_parts.py",
    "adding-an-engine.md": "tests/test_parts.py",
    "adding-a-method.md": "tests/test_parts.py",
    "adding-an-analysis.md": "tests/test_parts.py",
    "from-the-paper.md": "needs GPUs, an account of the hub and ten Gemma experts; its recipes: tests/test_paper_recipes.py",
    "gpu.md": "needs a GPU",
    "in-other-tools.md": "needs other projects' packages: scripts/check_tools.py",
    "scaling.md": "needs several machines or devices",
}
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
KNOWN = {field.name for field in fields()}


def commands(text: str) -> list[list[str]]:
    """The words of every hswarm command in the fences of a page, without what the shell does."""
    found = []
    for language, block in FENCE.findall(text):
        if language in ("", "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                for part in re.split(r"\s(?:&&|\|\|?|;|2?>)\s|\s#\s", line):
                    part = re.split(r"\s{3,}", part)[0]  # then what the command does
                    if part.startswith("hswarm ") and "..." not in part:
                        found.append(shlex.split(part, comments=True)[1:])
    return found


def test_what_is_run_names_pages_and_tests_that_are_here(root: Path) -> None:
    assert RUN.keys() <= set(PAGES)
    for told in RUN.values():
        for path in re.findall(r"(?:tests|scripts)/\w+\.py", told):
            assert (root / path).is_file()


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_ones_that_hswarm_has(page: str) -> None:
    for words in commands((DOCS / page).read_text(encoding="utf-8")):
        try:
            arguments = parser().parse_args(words)
        except SystemExit as left:
            pytest.fail(f"{page}: hswarm {' '.join(words)}: exit status {left.code}")
        if arguments.command in ("search", "plan", "compare"):
            for override in arguments.overrides:
                name = override.partition("=")[0]
                assert name in KNOWN or any(name.startswith(f"{known}.") for known in KNOWN), f"{page}: {override}"


@pytest.mark.parametrize("page", PAGES)
def test_python_compiles_and_finds_what_it_imports(page: str) -> None:
    for language, block in FENCE.findall((DOCS / page).read_text(encoding="utf-8")):
        if language == "python":
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hswarm"):
                    module = importlib.import_module(str(node.module))
                    assert all(hasattr(module, name.name) for name in node.names), f"{page}: {ast.unparse(node)}"


def test_a_command_that_is_not_there_is_found() -> None:
    assert commands("```sh\nhswarm serch x --run y  # no\n```\n") == [["serch", "x", "--run", "y"]]
    with pytest.raises(SystemExit):
        parser().parse_args(["serch", "x"])
