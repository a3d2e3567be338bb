"""Collaborative gain, worked out by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hswarm import Topology
from hswarm.analysis import analyze
from hswarm.analysis.context import Options
from hswarm.analysis.result import read_findings
from hswarm.cli.main import main
from hswarm.core.gain import collaborative_gain
from hswarm.errors import ConfigError, RunError
from tests.analysis.hand import FIRST, QUESTIONS, SECOND, hand_run, toy_system


def test_gain_of_the_hand_worked_case(tmp_path: Path) -> None:
    run = hand_run(tmp_path, toy_system(Topology.chain(2), [FIRST, SECOND]))
    (found,) = analyze(run.path, ["gain"])
    # solved alone by 1, 1, 0, 0 and 3 of three experts; the chain of the first two solves all but the fourth
    # the one that nobody solves alone and the chain does is told apart, not summed
    assert found.numbers["c_gain"] == pytest.approx((2 / 3 + 2 / 3 + 0 + 0) / 5)
    assert [(b["questions"], b["accuracy"]) for b in found.numbers["buckets"]] == [(2, 0.5), (2, 1), (0, None), (1, 1)]
    assert "1 of 2 questions that no expert solves alone (50.0%)" in found.says[1]
    assert found.svg.startswith("<svg")
    assert found.calls["asked"] == 5 * (2 + 3)
    assert read_findings(run.path) == [found]
    assert found.tables[0].rows[0] == ("0", "2", "0.500", "0.000", "+0.500")


def test_calls_made_are_not_made_again(tmp_path: Path) -> None:
    run = hand_run(tmp_path, toy_system(Topology.chain(2), [FIRST, SECOND]))
    (first,) = analyze(run.path, ["gain"])
    (again,) = analyze(run.path, ["gain"])
    (dev,) = analyze(run.path, ["gain"], Options("dev"))
    assert first.calls["made"] > 0
    assert again.calls["made"] == 0
    assert again.numbers == first.numbers
    assert dev.calls["made"] <= 4  # the experts alone were asked by the search
    assert "flatter" in dev.says[-1]


def test_the_calls_allowed_bound_the_questions(tmp_path: Path) -> None:
    run = hand_run(tmp_path, toy_system(Topology.chain(2), [FIRST, SECOND]))
    (few,) = analyze(run.path, ["gain"], Options(calls=11))
    assert few.calls["asked"] == 10  # two questions of five calls each
    assert sum(bucket["questions"] for bucket in few.numbers["buckets"]) == 2


def test_c_gain_by_hand() -> None:
    """Two experts, four questions, solved alone by 0, 0, 1, 2 of them; B_0 is told apart and not in the sum."""
    alone = [[False, False, True, True], [False, False, False, True]]
    found = collaborative_gain([True, False, True, True], alone, np.random.default_rng(0))
    assert found.value == pytest.approx(1 / 4 * (1 - 1 / 2) + 1 / 4 * (1 - 2 / 2))
    assert found.nobody == (0, 2, 0.5, 0.0)


def test_c_gain_is_the_weighted_sum_over_buckets() -> None:
    rng = np.random.default_rng(3)
    system, alone = rng.random(200) < 0.6, rng.random((7, 200)) < 0.4
    found = collaborative_gain(system, alone, rng)
    parts = [b.questions / 200 * (b.accuracy - b.solvers / 7) for b in found.buckets[1:] if b.questions]
    assert found.value == pytest.approx(sum(parts))
    assert found.interval.low < found.value < found.interval.high
    with pytest.raises(ValueError, match="shapes"):
        collaborative_gain(system[:5], alone, rng)


def test_refusals(tmp_path: Path) -> None:
    run = hand_run(tmp_path, toy_system(Topology.chain(2), [FIRST, SECOND]), QUESTIONS)
    (run.path / "report.json").unlink()
    with pytest.raises(RunError, match="hswarm resume"):
        list(analyze(run.path, ["gain"]))
    from hswarm.analysis import analysis_names

    with pytest.raises(ConfigError, match="did you mean 'gain'"):
        analysis_names("gian")


def test_the_report_shows_what_was_found(tmp_path: Path) -> None:
    run = hand_run(tmp_path, toy_system(Topology.chain(2), [FIRST, SECOND]))
    (found,) = analyze(run.path, ["gain"])
    sly = replace(found, name="sly", title="<script>", says=("a <b>",), svg="<svg onload='x'/>")
    sly.write(run.path)
    for name in ("report.html", "report.md"):
        assert main(["report", str(run.path), "--out", str(tmp_path / name)]) == 0
        text = (tmp_path / name).read_text()
        assert all(line.split(";")[0][:20] in text for line in found.says)
        assert "<script>" not in text
        assert "onload" not in text
    assert "data:image/svg+xml;base64," in (tmp_path / "report.html").read_text()
