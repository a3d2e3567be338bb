"""Credit, worked out by hand: the glove of two experts who can only answer together, and a third who is never needed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hswarm import Topology
from hswarm.analysis import analyze
from hswarm.analysis.context import Options
from hswarm.analysis.credit import calls_a_question, jfk_rows, wrong_answer
from hswarm.analysis.replay import Scored
from hswarm.analysis.result import AnalysisResult
from hswarm.analysis.subgraph import keep_edges, keep_nodes
from hswarm.config.recipe import build_recipe
from hswarm.core.shapley import shapley
from hswarm.experiments.search import search
from hswarm.tasks.task import Example
from tests.analysis.hand import FIRST, SECOND, THIRD, hand_run, question, toy_system
from tests.conftest import toy_content

CHAIN = [FIRST, SECOND, THIRD]
TOGETHER = [question(FIRST, SECOND), question(FIRST), question(FIRST, SECOND), question(SECOND)]


@pytest.fixture
def found(tmp_path: Path) -> AnalysisResult:
    run = hand_run(tmp_path, toy_system(Topology.chain(3), CHAIN), TOGETHER)
    (finding,) = analyze(run.path, ["credit"], Options("test"))
    return finding


def test_shapley_and_leave_one_out_of_the_hand_worked_case(found: AnalysisResult) -> None:
    """Questions: twice both, once the first, once the second. v(first) = v(second) = 1/4, v(both) = 1, the third adds
    nothing; so both are worth 1/2. Without either, 1/4 is left: a loss of 3/4."""
    nodes = found.numbers["node"]
    assert nodes["orders"] is None
    assert nodes["shapley"] == pytest.approx([0.5, 0.5, 0])
    assert nodes["without"] == pytest.approx([-0.75, -0.75, 0])
    assert found.numbers["expert"]["shapley"] == pytest.approx([0.5, 0.5, 0])
    assert found.numbers["whole"] == 1


def test_edges_of_the_hand_worked_case(found: AnalysisResult) -> None:
    """Without 1 -> 2 the third answers alone: nothing is right. With it alone the second is heard: 1/4. Both edges: 1.
    So v(0 -> 1) = 0, v(1 -> 2) = 1/4, v(both) = 1: worth 3/8 and 5/8."""
    edges = found.numbers["edge"]
    assert edges["names"] == ["1 -> 2", "2 -> 3"]
    assert edges["shapley"] == pytest.approx([3 / 8, 5 / 8])
    assert edges["without"] == pytest.approx([-0.75, -1])


def test_bad_experts_in_the_hand_worked_case(found: AnalysisResult) -> None:
    """A useless first is like none, a useless second or third keeps all others' work from being heard. The hostile
    first says the next other answer: to the first question the first step, which helps; else nothing that goes on."""
    nodes = found.numbers["node"]
    assert nodes["useless"] == pytest.approx([-0.75, -1, -1])
    assert nodes["hostile"] == pytest.approx([-0.5, -1, -1])
    assert "costs" in found.says[-1]


def test_calls_are_bounded_and_stated(tmp_path: Path) -> None:
    run = search(build_recipe(toy_content(nodes=4)), tmp_path / "run")
    (few,) = analyze(run.path, ["credit"], Options(calls=300))
    assert few.calls["made"] <= few.calls["most"] == 300
    (more,) = analyze(run.path, ["credit"], Options(calls=100_000))
    assert more.numbers["node"]["orders"] is None
    assert sum(more.numbers["node"]["shapley"]) == pytest.approx(more.numbers["whole"])
    assert more.numbers["expert"]["jfk"][0] is not None
    (again,) = analyze(run.path, ["credit"], Options(calls=100_000))
    assert again.calls["made"] == 0
    assert again.numbers == more.numbers


def test_the_most_calls_of_a_question() -> None:
    assert calls_a_question(Topology.chain(3)) == 3 + 7 * (2 + 1 + 0 + 3)
    assert calls_a_question(Topology.star(4)) == 4 + 7 * (3 + 4)


def test_jfk_of_the_hand_worked_case() -> None:
    """Two assignments to the found topology, one to another: a 0.75, b (0.5 + 2 * 1) / 3; edge 1 -> 0 in one topology."""
    pair, other = Topology.chain(2), Topology.of(2, [(1, 0)])
    system = toy_system(pair, [0, 1])
    names = system.assignment

    def made(step: Any, topology: Any, assignment: Any, utility: Any) -> Any:
        return Scored(step, topology, tuple(names[i] for i in assignment), np.zeros(1), utility)

    scored = [
        made("0/weight", pair, [0, 1], 0.5),
        made("0/weight", pair, [1, 1], 1.0),
        made("0/weight", other, [0, 1], 9.0),
        made("0/role", pair, [0, 1], 0.25),
        made("1/role", pair, [0, 1], 0.75),
        made("1/role", other, [0, 1], 0.1),
    ]
    experts, nodes, edges = jfk_rows(system, scored, names, [(0, 1)])
    assert [row.score for row in experts] == pytest.approx([0.5, 2.5 / 3])
    assert [(row.score, row.systems) for row in nodes] == [(0.5, 1), (0.75, 2)]
    assert (edges[0].score, edges[0].systems) == (0.5, 2)
    assert np.isnan(jfk_rows(system, [], names, [(0, 1)])[2][0].score)


def test_parts_of_a_system() -> None:
    graph = Topology.of(5, [(0, 2), (1, 2), (2, 4), (3, 4)])
    system = toy_system(graph, [0, 1, 2, 0, 1])
    bypassed = keep_nodes(system, frozenset({0, 1, 3, 4}))
    assert sorted(bypassed.topology.edges) == [(0, 3), (1, 3), (2, 3)]
    headless = keep_nodes(system, frozenset({0, 2, 3}))  # 2 is last in the order: 3 speaks to it
    assert sorted(headless.topology.edges) == [(0, 1), (2, 1)]
    assert headless.assignment == [system.assignment[v] for v in (0, 2, 3)]
    cut = keep_edges(system, graph.edges - {(2, 4)})
    assert sorted(cut.topology.edges) == [(0, 1)]
    assert keep_edges(system, frozenset()).topology.size == 1


@pytest.mark.parametrize("limit", [10_000, 40])
def test_shapley_of_a_known_game(limit: int) -> None:
    """Two questions: an additive one, worth 1, 2, 3, and one that needs players 0 and 1 together."""
    asked = 0

    def value(coalitions: Any) -> Any:
        nonlocal asked
        asked += len(coalitions)
        return [np.array([sum(p + 1.0 for p in c), float({0, 1} <= c)]) for c in coalitions]

    made = shapley(11 if limit == 40 else 3, value, lambda new: asked + len(new) <= limit, np.random.default_rng(0))
    assert asked <= limit
    assert made.values[:3, 0] == pytest.approx([1, 2, 3])
    if limit > 40:
        assert made.values[:, 1] == pytest.approx([0.5, 0.5, 0])
        assert made.orders is None
    else:
        assert made.values[:, 1].sum() == pytest.approx(1)
        assert made.orders in (2, 4)


def test_wrong_answers() -> None:
    choices = {"A": "x", "B": "y", "C": "z"}
    examples = [
        Example("0", "q", "C", choices),
        Example("1", "q", "Yes"),
        Example("2", "q", "yes."),
        Example("3", "q", "no"),
    ]
    assert [wrong_answer(examples, i) for i in range(4)] == ["A", "no", "no", "C"]
