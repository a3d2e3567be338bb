"""Roles of nodes, worked out by hand; the judge behind the project's own server."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hswarm import Topology
from hswarm.analysis import analyze
from hswarm.analysis.context import Options
from hswarm.analysis.judged import label
from hswarm.analysis.roles import KINDS, effects, position
from hswarm.cli.main import main
from hswarm.config.recipe import build_recipe
from hswarm.engines.base import Completion, EngineSettings, Request
from hswarm.engines.toy import ToyEngine
from hswarm.experiments.search import search
from hswarm.experts.remote import RemoteSettings
from hswarm.tasks.task import Example
from tests.analysis.hand import EASY, FIRST, SECOND, THIRD, hand_run, question, toy_system
from tests.conftest import toy_content

TEST = [
    question(FIRST, SECOND),  # the first begins, the second brings to an end, the third repeats
    question(FIRST, SECOND, THIRD),  # the second adds its step, the third brings to an end
    question(THIRD, difficulty=EASY),  # the first is right at once, the others repeat
    question(THIRD),  # the first two do nothing, the third is right
]


def test_roles_of_the_hand_worked_chain(tmp_path: Path) -> None:
    run = hand_run(tmp_path, toy_system(Topology.chain(3), [FIRST, SECOND, THIRD]), TEST)
    (found,) = analyze(run.path, ["roles"])
    shares = [dict(zip(KINDS, row, strict=True)) for row in found.numbers["shares"]]
    assert shares[0]["begins"] == 1
    assert shares[1] == {
        "wrong to right": 0.25,
        "right to wrong": 0,
        "repeats": 0.5,
        "ignores": 0,
        "changes": 0.25,
        "begins": 0,
    }
    assert shares[2] == {
        "wrong to right": 0.5,
        "right to wrong": 0,
        "repeats": 0.5,
        "ignores": 0,
        "changes": 0,
        "begins": 0,
    }
    assert found.numbers["right"] == [0.25, 0.5, 1.0]
    assert found.numbers["positions"] == ["first", "passes on", "last"]
    assert "nodes mend 3 wrong answers and spoil 0 right ones" in found.says[1]
    assert [row[0] for row in found.tables[1].rows] == ["first", "passes on", "last"]


def test_every_kind_and_every_position() -> None:
    topology = Topology.of(2, [(0, 1)])
    examples = [Example(str(i), "q", "yes") for i in range(5)]
    before, after = ["no", "yes", "no", "no", "no"], ["yes", "no", "no", "maybe", "perhaps"]
    alone = ["x", "x", "x", "maybe", "x"]
    right = np.array([[text == "yes" for text in row] for row in (before, after)])
    assert effects(topology, 1, [before, after], alone, right, examples) == list(KINDS[:5])
    assert effects(topology, 0, [before, after], alone, right, examples) == ["begins"] * 5
    graph = Topology.of(6, [(0, 1), (0, 2), (1, 3), (2, 3), (3, 5), (4, 5)])
    assert [position(graph, v) for v in range(6)] == [
        "branches",
        "passes on",
        "passes on",
        "converges",
        "first",
        "last",
    ]


class Labeller(ToyEngine):
    """A judge that reads what it is asked to label."""

    def __init__(self) -> None:
        super().__init__(EngineSettings("toy"))

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        said = ["divide" if "first to speak" in r.prompt else "refine" for r in requests]
        return [Completion(f"It helps.\nLabel: {word}", "stop", 1, 1) for word in said]


def test_a_judge_labels_the_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    from tests.server.serving import serving

    run = hand_run(tmp_path, toy_system(Topology.chain(3), [FIRST, SECOND, THIRD]), TEST)
    with serving({"judge": toy_system(Topology.chain(1), [FIRST])}, Labeller()) as url:
        judge = RemoteSettings("judge", "judge", f"{url}/v1")
        (found,) = analyze(run.path, ["roles"], Options(judge=judge))
        words = ["analyze", str(run.path), "--only", "roles", "--judge", "judge", "--judge-url", f"{url}/v1"]
        assert main(words) == 0
    assert found.numbers["judged"]["shares"] == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]
    assert found.numbers["judged"]["unread"] == 0
    assert "refine" in found.svg
    assert main(["analyze", str(run.path), "--judge", "judge"]) == 2


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("Label: refine", "refine"),
        ("**Label:** Divide", "divide"),
        ("feedback", "feedback"),
        ("", ""),
        ("divide or refine", ""),
        ("Not divide.\nLabel: irrelevant", "irrelevant"),
    ],
)
def test_labels(reply: str, found: str) -> None:
    assert label(reply) == found


def test_roles_are_followed_over_the_iterations(tmp_path: Path) -> None:
    run = search(build_recipe(toy_content(iterations=6, patience=6) | {"seed": 1}), tmp_path / "run")
    (found,) = analyze(run.path, ["role_changes"])
    steps = list(dict.fromkeys(line.best.step for line in run.history()))
    systems = found.numbers["systems"]
    assert len(systems) == len(steps) > 1
    assert [systems[0]["iterations"][0], systems[-1]["iterations"][1]] == [1, len(run.history())]
    assert systems[-1]["right"] == pytest.approx(run.report.dev.score)  # a toy score is right or wrong
    assert all(sum(one["shares"]) == pytest.approx(1) for one in systems)
    (last,) = analyze(run.path, ["roles"], Options(split="dev"))
    shares = np.array(last.numbers["shares"])
    reading = shares[shares[:, -1] < 1][:, :-1]
    assert systems[-1]["shares"] == pytest.approx(reading.mean(axis=0).tolist())
    assert "of them: wrong to right" in found.says[1]
