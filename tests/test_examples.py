"""Every example runs as its first lines say, and is short."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
LIGHT = {"load_a_bundle"}  # needs no model


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=p.stem, marks=[] if p.stem in LIGHT else pytest.mark.model) for p in EXAMPLES]
)
def test_an_example_runs(path, tmp_path):
    assert len(path.read_text().splitlines()) < 45
    words = [sys.executable, str(path)]
    ran = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
