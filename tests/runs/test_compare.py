"""A comparison on equal terms, resumable, from the command line."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hswarm.cli.main import main
from hswarm.core.stats import holm
from hswarm.errors import RunError
from hswarm.report.table import cells, tabulate
from hswarm.runs.comparison import Measured, Result, Spent, read_result


def test_holm_against_values_worked_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def results(scores: list[tuple[str, str, int, list[float | None]]]) -> list[Result]:
    return [
        Measured(
            task=task,
            method=method,
            seed=seed,
            test=row,
            dev=[1.0, 1.0],
            calls=1,
            tokens=10.0,
            spent=Spent(calls=5, tokens=50, seconds=1.0),
        )
        for task, method, seed, row in scores
    ]


def test_ranks_gains_and_drops() -> None:
    table = tabulate(
        results(
            [
                ("a", "best_single", 0, [0, 1] * 10),
                ("a", "hswarm", 0, [1] * 20),
                ("a", "hswarm", 1, [1] * 20),
                ("b", "best_single", 0, [0, 1] * 10),
                ("b", "hswarm", 0, [0] * 20),
            ]
        )
    )
    single, found = table.rows("a")
    assert (found.test, found.gain, found.seeds, single.drop) == (1.0, 100.0, 2, 0.5)
    assert found.to_best_single
    assert found.to_best_single.difference == 0.5
    assert found.to_best_single.p_value < 0.01
    assert [row.rank for row in table.overall] == [1.5, 1.5]
    assert table.rows("b")[1].gain == -100.0


def test_a_result_whose_calls_all_failed_is_a_row_without_scores() -> None:
    table = tabulate(results([("a", "best_single", 0, [1, 0]), ("a", "hswarm", 0, [None, None])]))
    assert [cells(row)[1] for row in table.tasks["a"]] == ["0.500", "not run: every call failed, so there is no score"]
    assert [row.method for row in table.overall] == ["best_single"]


def test_a_result_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"task": "a", "method": "m", "seed": 0, "test": "high"}))
    with pytest.raises(RunError, match="another form than this version writes"):
        read_result(tmp_path / "result.json")


def test_shared_calls_change_nothing_but_the_work(tmp_path: Path, root: Path) -> None:
    results = {}
    for name, flags in (("shared", []), ("apart", ["--no-share"]), ("timed", ["--budget-seconds", "1000"])):
        words = [
            "compare",
            str(root / "recipes/toy.toml"),
            "--methods",
            "best_single,random_search",
            "--seeds",
            "2",
            "--run",
            str(tmp_path / name),
            "--set",
            "task.dev=12",
            "--set",
            "task.test=20",
            "--set",
            "search.iterations=2",
            *flags,
        ]
        assert main(words) == 0
        found = [json.loads(path.read_text()) for path in sorted((tmp_path / name).glob("toy/*/*/result.json"))]
        results[name] = [result["spent"].pop("seconds") for result in found], found
    assert results["shared"][1] == results["apart"][1]
    assert results["shared"][0] == [None] * 4
    assert None not in results["apart"][0] + results["timed"][0]
    assert "| | |" not in (tmp_path / "apart/table.md").read_text()
    assert (tmp_path / "shared/calls.sqlite").is_file()
    assert not (tmp_path / "apart/calls.sqlite").exists()
    counts = [
        sum(kept_calls(path) for path in (tmp_path / "shared").glob(pattern))
        for pattern in ("calls.sqlite", "toy/*/*/cache.sqlite")
    ]
    assert 0 < counts[0] < 0.8 * counts[1]


def kept_calls(path: Path) -> Any:
    with closing(sqlite3.connect(path)) as calls:
        return calls.execute("SELECT count(*) FROM calls").fetchone()[0]


def test_compare_from_the_command_line(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "compare",
        str(root / "recipes/toy.toml"),
        "--methods",
        "best_single,random_search,data_merge,hswarm",
        "--seeds",
        "2",
        "--budget-calls",
        "1500",
        "--run",
        str(tmp_path / "c"),
        "--json",
        str(tmp_path / "t.json"),
        "--set",
        "task.dev=12",
        "--set",
        "task.test=20",
    ]
    assert main(words) == 0
    first = capsys.readouterr()
    rows = {row["method"]: row for row in json.loads((tmp_path / "t.json").read_text())["tasks"]["toy"]}
    assert "needs an expert trained" in rows["data_merge"]["refused"]
    assert all(rows[name]["spent"]["calls"] <= 1500 for name in ("best_single", "random_search", "hswarm"))
    assert rows["hswarm"]["test"] > rows["best_single"]["test"]
    for name in ("table.md", "table.csv", "table.tex", "pareto.svg"):
        assert (tmp_path / "c" / name).stat().st_size > 100
    (tmp_path / "c/toy/hswarm/1/result.json").unlink()  # as if interrupted
    kept = (tmp_path / "c/table.md").read_text().split("search s |")[0]
    assert main(words) == 0
    again = capsys.readouterr()
    assert "5 of 8 results are there already" in again.err  # one deleted; two refused, which may be possible by now
    assert first.out.split("tables")[0] == again.out.split("tables")[0]
    assert kept == (tmp_path / "c/table.md").read_text().split("search s |")[0]
    assert main([*words, "--set", "task.dev=13"]) == 2
    assert "another folder" in capsys.readouterr().err
