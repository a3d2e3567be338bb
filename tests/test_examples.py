"""Every example runs as its first lines say, and is short."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
PARTS = [("load_a_bundle", False), ("own_task", True), ("own_experts", True), ("own_scorer", True)]


def run(name: str, tmp_path: Path, *words: str, **environment: str) -> list[str]:
    ran = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)} | environment,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.model if model else []) for name, model in PARTS]
)
@pytest.mark.slow
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    assert run(name, tmp_path)


def test_a_role_step_over_an_api_finds_a_better_graph(tmp_path: Path) -> None:
    """Four models behind a real server, each right on one step: alone they score next to nothing."""
    from hswarm.core.topology import Topology
    from hswarm.tasks.toy import generate
    from tests.server.serving import serving, toy_system

    questions = [{"question": e.question, "answer": e.answer} for e in generate(24, 0)]
    file = tmp_path / "questions.json"
    file.write_text(json.dumps({"dev": questions[:20], "test": questions[20:]}))
    names = [f"step-{i}" for i in range(4)]
    with serving({name: toy_system(Topology.chain(1), [i]) for i, name in enumerate(names)}) as address:
        lines = run("role_step_over_api", tmp_path, f"{address}/v1", str(file), *names, OPENAI_API_KEY="none")
    best = max(float(line.split()[1]) for line in lines)
    assert len(lines) == 4
    assert best > 0.3


def test_examples_are_short_and_all_tried() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert {file.stem for file in files} == {name for name, _ in PARTS} | {"role_step_over_api"}
    assert all(len([line for line in file.read_text().splitlines() if line]) < 50 for file in files)
