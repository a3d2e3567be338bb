"""Every page of docs: its commands and Python run, in the page's order, in a folder that has what the page speaks of.

What a page searches is small here: `mine.toml` is a toy recipe, or one of the micro pool where real experts are needed.
CANNOT is all that does not run here, with the reason; of that, commands still parse and Python compiles.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from hswarm.cli.main import main
from hswarm.cli.parser import parser
from hswarm.config.fields import fields
from hswarm.config.recipe import build_recipe
from hswarm.training.train import read_train_recipe
from tests.conftest import ROOT, toy_content
from tests.pages import DOCS, Block, blocks

ELSEWHERE = {  # pages whose every block another test runs
    "beyond-the-paper.md": "tests/system/test_route.py routes a run",
    "adding-a-part.md": "tests/test_parts.py",
    "adding-a-task.md": "tests/test_parts.py",
    "adding-a-scorer.md": "tests/test_parts.py",
    "adding-an-engine.md": "tests/test_parts.py",
    "adding-a-method.md": "tests/test_parts.py",
    "adding-an-analysis.md": "tests/test_parts.py",
}
HUB = "asks the hub of the world; tests/experts/test_hub.py and tests/bundle/test_publish.py ask one on this machine"
TOOLS = "needs packages of other projects; scripts/check_tools.py runs it with them"
STEPS = "half an hour of searches; tests/runs/test_studies.py has smaller ones"
CANNOT = {  # what a line or a file's name begins with -> why it does not run here
    "#!/bin/bash": "needs Slurm",
    "pip install": "installs packages; scripts/check_wheel.sh does, in an environment of its own",
    "git clone": "needs a connection",
    "mkdir -p data": "copies what git clone brings; the questions here are made up",
    "hf auth login": "needs an account of the hub",
    "hswarm search recipes/paper/nlgraph.toml --set engine.devices=[0,1,2,3,4] --set track.to=wandb": "needs an account of W&B",
    "python -m venv tools": TOOLS,
    "lm_eval ": TOOLS,
    "inspect eval": TOOLS,
    "python with_": TOOLS,
    "words.py": TOOLS,
    "with_dspy.py": TOOLS,
    "with_langchain.py": TOOLS,
    "openssl ": "needs the package model-signing, which hswarm does not bring",
    "model_signing ": "needs the package model-signing, which hswarm does not bring",
    "tensorboard ": "a server of another project, which does not end",
    "mlflow ": "a server of another project, which does not end",
    "hswarm experts download": HUB,
    "hswarm export runs/demo --push": HUB,
    "hswarm experts train pool.toml": "base and data of the hub; tests/experts/test_train.py trains",
    "hswarm experts train recipes/micro-pool.toml": "an hour of training; tests/experts/test_train.py trains",
    "hswarm experts train recipes/steps-": "an hour of training; tests/experts/test_train.py trains",
    "hswarm compare recipes/steps-": "days of searches; tests/experts/test_steps_pool.py asks the pool",
    "hswarm search recipes/steps-": STEPS,
    "hswarm study weak recipes/steps-": STEPS,
    "hswarm study transfer recipes/steps-": STEPS,
    "hswarm study importance recipes/steps-": STEPS,
    "hswarm analyze runs/steps-": STEPS,
    "python scripts/micro_base.py": "an hour of training",
    "python benchmarks/": "an hour of searches",
    "python scripts/gpu_check.py": "needs a GPU, or minutes on a CPU",
    "hswarm evaluate search/": "a search of the authors' code; tests/test_from_reference.py has one",
    "hswarm serve search/": "a search of the authors' code; tests/test_from_reference.py has one",
    "hswarm search mine.toml --set engine.cluster=": "needs a Ray cluster; tests/engines/test_ray.py starts one",
}
REAL = ("bundle.md", "determinism.md", "experts.md", "from-the-paper.md", "serving.md")  # pages that need real experts
SMALLER = {"sweep": ["--trials", "2"]}  # what is added to a command
SMALL_PAPER = (  # what is set in a search of the paper's: two iterations of micro experts on a few questions
    *("pool.path=experts", "pool.base=base", "pool.experts=[]", "engine.devices=[]", "engine.dtype=float32"),
    *("search.graphs=2", "search.assignments=2", "search.iterations=1", "search.nodes=2"),
    *("task.dev=4", "task.test=4", "sampling.max_new_tokens=2"),
)
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
KNOWN = {field.name for field in fields()}
MICRO = {
    "name": "mine",
    "pool": {"path": "experts", "base": "base", "space": "delta"},
    "task": {"name": "micro", "datasets": ["tav+lun+wex"], "dev": 4, "test": 4, "max_new_tokens": 14},
    "engine": {"name": "transformers"},
    "budget": {"calls": 40},
}


def reason(text: str) -> str:
    """Why `text`, a line or a file's name, does not run here; "" if it does."""
    return next((why for what, why in CANNOT.items() if text.startswith(what)), "")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `mine.toml` and its run, as runs/mine and as runs/demo."""
    made = tmp_path_factory.mktemp("toy")
    (made / "mine.toml").write_text(tomli_w.dumps(toy_content() | {"name": "mine"}))
    with contextlib.chdir(made):
        assert main(["search", "mine.toml"]) == 0
    shutil.copytree(made / "runs/mine", made / "runs/demo")
    return made


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with micro experts in experts/, and runs/one, which found a single expert."""
    made = tmp_path_factory.mktemp("micro")
    for name in ("tav", "lun", "wex"):
        shutil.copytree(ROOT / "experts/micro/pool" / name, made / "experts" / name)
    (made / "base").symlink_to(ROOT / "experts/micro/base")
    (made / "mine.toml").write_text(tomli_w.dumps(MICRO))
    with contextlib.chdir(made):
        assert main(["search", "mine.toml"]) == 0
        assert main(["search", "mine.toml", "--method", "best_single", "--run", "runs/one"]) == 0
    shutil.copytree(made / "runs/mine", made / "runs/demo")
    return made


class Sandbox:
    """A folder in which the blocks of one page run, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, "8000"
        self.names: dict[str, object] = {"__name__": "__main__"}
        self.servers: list[subprocess.Popen[str]] = []

    def run(self, block: Block) -> None:
        if block.file:
            (self.folder / block.file).write_text(block.text)
        if reason(block.file) or (block.text.startswith("#!") and reason(block.text)):
            return
        if block.language in ("sh", "bash"):
            for line in block.lines:
                if not reason(line):
                    self._command(shlex.split(line, comments=True))
        elif block.language == "python":
            code = compile(block.text.replace(":8000/", f":{self.port}/"), block.file or "block", "exec")
            exec(code, self.names)
        elif block.language == "toml" and "[[experts]]" in block.text:
            (self.folder / "pool.toml").write_text(block.text)
            read_train_recipe(self.folder / "pool.toml")
        elif block.language == "toml":
            build_recipe(tomllib.loads(block.text))
        else:
            assert block.language in ("text", "yaml"), f"a block in '{block.language}': what is it?"

    def _command(self, words: list[str]) -> None:
        program, *words = words
        if program == "python":
            subprocess.run([sys.executable, *words], check=True)
            return
        assert program == "hswarm", f"{program}: neither hswarm nor python; CANNOT would say why it does not run"
        if words[0] in ("serve", "watch"):
            self._serve(words)
            return
        if words[0] == "search" and "--run" not in words:  # the page before left one
            shutil.rmtree(self.folder / "runs/mine", ignore_errors=True)
        if words[0] == "resume":  # of a run that was stopped before its report was written
            (self.folder / words[1] / "report.json").unlink()
        if words[:2] == ["search", "recipes/paper/nlgraph.toml"]:
            words += [word for setting in SMALL_PAPER for word in ("--set", setting)]
        if "--watch" in words:
            words += ["--port", "0"]
        assert main([*words, *SMALLER.get(words[0], [])]) == 0, f"hswarm {shlex.join(words)}"

    def _serve(self, words: list[str]) -> None:
        command = [sys.executable, "-m", "hswarm.cli.main", *words, "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.servers.append(server)
        assert server.stdout
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", server.stdout.readline())
        assert found
        self.port = found[1]

    def close(self) -> None:
        for server in self.servers:
            server.terminate()
            server.communicate(timeout=60)


@pytest.fixture
def sandbox(
    page: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sandbox]:
    world = request.getfixturevalue("real" if page in REAL else "searched")
    shutil.copytree(world, tmp_path, symlinks=True, dirs_exist_ok=True)
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    (tmp_path / "search/nlgraph_host").mkdir(parents=True)
    theirs = {"name": "nlgraph", "eval_type": "exact_match", "dataset": "nlgraph", "gpus": "0,1"}
    (tmp_path / "search/nlgraph_host/args.json").write_text(json.dumps(theirs))
    if page == "micro-pool.md":
        (tmp_path / "experts").mkdir()
        (tmp_path / "experts/micro").symlink_to(ROOT / "experts/micro")
    if page == "from-the-paper.md":
        shutil.copytree(ROOT / "recipes/paper", tmp_path / "recipes/paper")
        rows = [
            {"question": f"Node {i}: which comes after it?", "answer": str(i + 1), "id": str(i)} for i in range(1200)
        ]
        (tmp_path / "data/eval").mkdir(parents=True)
        (tmp_path / "data/eval/nlgraph.json").write_text(json.dumps({"dev": rows[:200], "test": rows[200:]}))
        (tmp_path / "questions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows[:100]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HSWARM_ALLOW", raising=False)  # a page's own --allow must do
    made = Sandbox(tmp_path)
    yield made
    made.close()


@pytest.mark.model
@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE and blocks(page)])
def test_every_block_runs(page: str, sandbox: Sandbox) -> None:
    for block in blocks(page):
        sandbox.run(block)


def test_every_reason_is_for_something_that_a_page_shows(root: Path) -> None:
    shown = [block for page in PAGES for block in blocks(page)]
    texts = [
        text
        for block in shown
        for text in (block.file, block.text, *(block.lines if block.language in ("sh", "bash") else []))
    ]
    assert [what for what in CANNOT if not any(text.startswith(what) for text in texts)] == []
    for why in (*CANNOT.values(), *ELSEWHERE.values()):
        for path in re.findall(r"(?:tests|scripts)/[\w/]+\.\w+", why):
            assert (root / path).is_file(), path


def shown(page: str) -> list[str]:
    """Every command of hswarm on a page, in its blocks and in its text; a mention of a command's name alone is none."""
    text = (DOCS / page).read_text(encoding="utf-8")
    inline = [
        " ".join(one.split())
        for one in re.findall(r"`(hswarm [^`]*)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))
    ]
    lines = [line for block in blocks(page) if block.language in ("sh", "bash") for line in block.lines]
    return [line for line in (*inline, *lines) if line.startswith("hswarm ") and "..." not in line]


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_ones_that_hswarm_has(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    for line in shown(page):
        words = shlex.split(re.split(r" \| ", line)[0], comments=True)[1:]
        try:
            arguments = parser().parse_args(words)
        except SystemExit:
            told = capsys.readouterr().err
            assert re.search("arguments are required|expected one argument", told), (
                f"{page}: {line}: {told}"
            )  # a mention leaves out what it is given
            continue
        for override in getattr(arguments, "overrides", []) if arguments.command != "analyze" else []:
            name = override.partition("=")[0]
            assert name in KNOWN or any(name.startswith(f"{known}.") for known in KNOWN), f"{page}: {override}"


@pytest.mark.parametrize("page", PAGES)
def test_python_compiles_and_finds_what_it_imports(page: str) -> None:
    for block in blocks(page):
        for node in ast.walk(ast.parse(block.text)) if block.language == "python" else ():
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hswarm"):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, name.name) for name in node.names), f"{page}: {ast.unparse(node)}"
