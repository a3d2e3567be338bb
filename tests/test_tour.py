"""examples/tour.ipynb runs from top to bottom in a real kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = (
    "import sys, nbformat; from nbclient import NotebookClient; book = nbformat.read(sys.argv[1], 4);"
    "NotebookClient(book, timeout=300, kernel_name='python3').execute(); nbformat.write(book, sys.argv[2])"
)


@pytest.mark.slow
@pytest.mark.model
def test_the_tour_runs(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    made = tmp_path / "made.ipynb"
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    words = [sys.executable, "-c", RUN, str(root / "examples/tour.ipynb"), str(made)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = [out for cell in json.loads(made.read_text())["cells"] for out in cell.get("outputs", [])]
    kinds = {kind for out in outputs for kind in out.get("data", {})}
    assert {"image/svg+xml", "text/html", "text/markdown"} <= kinds
    printed = "".join(text for out in outputs for text in out.get("text", []))
    assert "right answer:" in printed
    assert "Collaborative gain" in printed


def test_the_tour_is_kept_without_outputs(root: Path) -> None:
    """Outputs hold the paths of the machine that made them."""
    cells = json.loads((root / "examples/tour.ipynb").read_text())["cells"]
    assert len(cells) > 15
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
