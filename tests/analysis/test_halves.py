"""Role against weight importance and transfer, worked out by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from hswarm import Topology
from hswarm.analysis import analyze
from hswarm.analysis.ablation import first_best
from hswarm.analysis.context import AnalysisContext, Options
from hswarm.analysis.importance import importance_of
from hswarm.analysis.replay import Replay, Scored
from hswarm.cli.main import main
from hswarm.engines.toy import planted_weights, toy_pool
from hswarm.errors import ConfigError
from hswarm.runs.directory import Run
from hswarm.system.system import System
from tests.analysis.hand import FIRST, SECOND, THIRD, hand_run, question, toy_system
from tests.known import adapter

TEST = [question(FIRST), question(FIRST, SECOND), question(FIRST, SECOND, THIRD), question(THIRD)]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Start: third -> second -> first, of the pool. Found: the planted chain, in which the third expert alone has
    become right on every step; the search that led there is written down by hand."""
    able = adapter(toy_pool(3).experts[THIRD]).with_weights(planted_weights(3))
    system = toy_system(Topology.chain(3), [FIRST, SECOND, THIRD])
    system = System(system.topology, (*system.experts[:2], able), base="toy", engine=system.engine)
    run = hand_run(tmp_path, system, TEST)
    names = tuple(f"step-{i}" for i in (THIRD, SECOND, FIRST))
    start = Scored("0/role", Topology.chain(3), names, np.zeros(4), 0.5)
    worse = Scored("0/role", Topology.star(3), names, np.zeros(4), 0.25)
    followed = Replay((worse, start), {able.name: able}, 1)
    monkeypatch.setattr(AnalysisContext, "replay", followed)
    assert first_best(followed.scored) is start
    return run


def test_importance_of_the_hand_worked_case(found: Run) -> None:
    """Start: the first and the third question (each asks one step) = 2/4. Found roles: all four. Found weights in the
    start's roles: the able third begins, does its first step of each question; then the second and the first. First
    question: done. Second: first by the third expert, second by the second: done. Third question: first, second, then
    the expert of the first step stops: not done. Fourth: done. So 3/4. Both: 4/4."""
    (made,) = analyze(found.path, ["importance"])
    assert made.numbers["scores"] == [0.5, 1.0, 0.75, 1.0]
    assert made.numbers["roles"][0] == pytest.approx((0.5 + 0.25) / 2)
    assert made.numbers["weights"][0] == pytest.approx((0.25 + 0.0) / 2)
    assert made.numbers["roles"][0] + made.numbers["weights"][0] == pytest.approx(0.5)  # the whole gain
    assert "roles add +0.375" in made.says[0]


def test_intervals_say_when_it_is_open() -> None:
    even = np.tile([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], 20)
    shares = importance_of(even)
    assert shares.roles.value == shares.weights.value == 0.5
    assert shares.between.low < 0 < shares.between.high


def test_transfer_of_the_hand_worked_case(found: Run, tmp_path: Path) -> None:
    """Another task, of one question for all three: only the found graph, with either weights, does it; the start
    with the found weights stops before the third step."""
    data = tmp_path / "other.json"
    other = [question(FIRST, SECOND, THIRD), question(SECOND)]
    data.write_text(json.dumps({"dev": TEST[:1], "test": other}))
    with pytest.raises(ConfigError, match="--to"):
        list(analyze(found.path, ["transfer"]))
    assert main(["analyze", str(found.path), "--only", "transfer", "--to", str(data), "--to", str(found.path)]) == 0
    (kept,) = [json.loads(path.read_text()) for path in (found.path / "analysis").glob("transfer.json")]
    scores = kept["numbers"]["other.json"]
    assert scores["found graph"] == scores["found system"] == 1
    assert scores["found weights"] == scores["start"] == 0.5
    assert kept["numbers"]["run"]["found there"] == 1
    assert "other.json (2 questions)" in kept["says"][0]


def test_what_cannot_be_had_is_told_and_the_rest_done(found: Run, tmp_path: Path) -> None:
    told = []
    names = ["transfer", "gain"]
    made = list(analyze(found.path, names, Options(), refused=lambda name, fault: told.append(name)))
    assert told == ["transfer"]
    assert [one.name for one in made] == ["gain"]
    with pytest.raises(ConfigError):
        list(analyze(found.path, names, Options()))
