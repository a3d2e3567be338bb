"""The table of strict and reference scores goes on from what was answered, with larger slices too."""

import importlib.util
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from hswarm.tasks.micro import WORLD

pytestmark = pytest.mark.model


def test_a_larger_slice_asks_only_what_is_new(root: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("tasks_table", root / "benchmarks/tasks_table.py")
    assert spec
    assert spec.loader
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    rows = [{"question": one.question, "answer": one.answer} for one in WORLD.generate(["tav"], 9, 0)]
    (tmp_path / "nlgraph.json").write_text(json.dumps({"dev": rows[:4], "test": rows[4:]}))
    for name in ("tav", "wex"):
        shutil.copytree(root / "experts/micro/pool" / name, tmp_path / "pool" / name)
    words = [
        str(tmp_path),
        "--pool",
        str(tmp_path / "pool"),
        "--base",
        str(root / "experts/micro/base"),
        "--engine",
        "transformers",
        "--calls",
        str(tmp_path / "calls"),
        "--out",
        str(tmp_path / "out"),
    ]

    def made(dev: Any, test: Any) -> Any:
        table.main([*words, "--dev", str(dev), "--test", str(test)])
        with sqlite3.connect(tmp_path / "calls") as calls:
            return calls.execute("SELECT count(*) FROM calls").fetchone()[0]

    assert made(2, 3) == 2 * 2 + 2 * 3
    assert made(2, 3) == 2 * 2 + 2 * 3  # started again
    assert made(3, 99) == 2 * 3 + 2 * 5  # the file has no more
    (row,) = json.loads((tmp_path / "out/tasks-table.json").read_text())["rows"].values()
    assert row["questions"] == {"dev": 3, "test": 5}
    assert all(len(row["test"][who][kind]) == 5 for who in ("base", row["best"]) for kind in ("strict", "reference"))
    page = (tmp_path / "out/tasks-table.md").read_text()
    assert "| nlgraph | 3/5 | exact | base | 0.00 (0.00 to 0.00) |" in page  # it knows no skill
    assert "No file was at hand for abkg, com2, gaia" in page
