"""Banzhaf values of a search by growth, worked out by hand, and the refusal of other methods."""

from pathlib import Path

import numpy as np
import pytest

from hswarm import Topology
from hswarm.analysis import analyze
from hswarm.engines.toy import toy_pool
from hswarm.errors import RunError
from hswarm.methods.growth.scoreboard import Scoreboard
from hswarm.methods.growth.story import told
from hswarm.methods.growth.terms import Term, pure
from tests.analysis.hand import FIRST, SECOND, hand_run, question, toy_system
from tests.known import known
from tests.methods.bench import bench


def test_an_experts_value_is_the_mean_gain_by_it() -> None:
    """{a} 0.5, {b} 0.25, {a, b} 1: a gains 0.5 over nothing and 0.75 over {b}; b 0.25 and 0.5; c was never tried."""
    _, evaluator = bench(toy_pool(3))
    board = Scoreboard(evaluator, range(4), 100)
    a, b = Term.of(pure(0)), Term.of(pure(1))
    for term, row in ((a, [1, 1, 0, 0]), (b, [1, 0, 0, 0]), (Term.of(pure(1), [a]), [1, 1, 1, 1])):
        board.add(term, np.array(row, dtype=float), np.array(row, dtype=float))
    story = told(board, None, a, ["a", "b", "c"])
    assert story.experts == {"a": pytest.approx(0.625), "b": pytest.approx(0.375), "c": 0.0}


def test_it_shows_the_searchs_own_values_without_a_call(tmp_path: Path) -> None:
    system = toy_system(Topology.chain(2), [FIRST, SECOND])
    questions = [question(FIRST, SECOND) for _ in range(4)]
    run = hand_run(tmp_path, system, questions, search={"method": "growth", "nodes": 3, "iterations": 2})
    (made,) = analyze(run.path, ["banzhaf"])
    assert made.calls["asked"] == 0
    assert made.numbers["experts"] == known(run.report.growth).experts
    first, second = (system.experts[node].name for node in (0, 1))
    assert {row[0] for row in made.tables[0].rows if row[2]} == {first, second}
    assert made.tables[1].rows
    assert "systems scored on dev" in made.says[0]


def test_a_run_of_another_method_is_refused(tmp_path: Path) -> None:
    run = hand_run(tmp_path, toy_system(Topology.chain(2), [FIRST, SECOND]))
    with pytest.raises(RunError, match="'hswarm' keeps no scores of parts; use --only credit"):
        list(analyze(run.path, ["banzhaf"]))
