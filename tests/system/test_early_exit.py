"""Where the leaves agree nobody else is asked: counted, saved, kept out of the way of votes."""

import numpy as np
import pytest

from hswarm import Topology, load
from hswarm.cli.main import main
from hswarm.config.recipe import build_recipe
from hswarm.engines.base import Completion, EngineSettings
from hswarm.engines.toy import ToyEngine, planted_weights
from hswarm.experiments.search import search
from hswarm.experts.adapter import Expert
from hswarm.experts.composite import Vote
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.system.vote import agreed
from hswarm.tasks.task import Example
from tests.conftest import toy_content

TOGETHER = Topology.of(4, [(0, 2), (1, 2), (2, 3)])  # two leaves


def expert(name, *skills):
    return Expert.of(name, planted_weights(len(skills)) + [1 - skill for skill in skills], None)


ADEPTS = expert("first", 1, 0), expert("also", 0.9, 0), expert("second", 0, 1), expert("last", 0, 0)


def question(steps, number=0):
    text = " ".join(map(str, steps))
    return Example(
        f"q{number}", f"toy q{number}: steps {text}; difficulty {' '.join(['0.5'] * len(steps))}", f"done {text}"
    )


def answered(system, examples):
    executor = Executor(ToyEngine(EngineSettings(name="toy")))
    (nodes,) = executor.run([system], examples, "test")
    return nodes, executor.ledger


def test_only_the_leaves_are_asked_where_they_agree():
    examples = [question([0]), question([1]), question([0, 1])]
    system = System(TOGETHER, ADEPTS, early_exit=True)
    nodes, ledger = answered(system, examples)
    assert [node[0].finish for node in nodes] == ["stop", "stop", "passed", "passed"]
    assert nodes[3][0] == Completion("done 0", "passed", 0, 0)
    assert [nodes[3][e].text for e in (1, 2)] == ["nothing done", "done 0"]  # agreed too soon: the price
    assert (ledger.requested, ledger.skipped) == (6, 6)
    whole, ledger = answered(System(TOGETHER, ADEPTS), examples)
    assert [reply.text for reply in whole[3]] == ["done 0", "done 1", "done 0 1"]
    assert (ledger.requested, ledger.skipped) == (12, 0)


def test_leaves_that_differ_go_on_with_the_rest():
    system = System(TOGETHER, (ADEPTS[0], ADEPTS[2], ADEPTS[2], ADEPTS[3]), early_exit=True)
    nodes, ledger = answered(system, [question([0, 1])])
    assert [reply.text for (reply,) in nodes] == ["done 0", "nothing done", "done 0 1", "done 0 1"]
    assert ledger.skipped == 0


@pytest.mark.parametrize("topology", [TOGETHER, Topology.chain(4)])
def test_one_call_does_not_agree_with_itself(topology):
    system = System(topology, (ADEPTS[0], ADEPTS[0], ADEPTS[2], ADEPTS[3]), early_exit=True)
    nodes, ledger = answered(system, [question([0, 1])])
    assert nodes[3][0].text == "done 0 1"
    assert ledger.skipped == 0


def test_a_vote_comes_out_the_same():
    examples = [question([0], 1), question([1], 2), question([0, 1], 3)]
    parts = Topology.of(4, [(0, 3), (1, 3), (2, 3)]), (ADEPTS[0], ADEPTS[1], expert("third", 1, 1), Vote.new())
    early, plain = (answered(System(*parts, early_exit=yes), examples)[0][3] for yes in (True, False))
    assert [reply.text for reply in early] == [reply.text for reply in plain]
    assert [reply.finish for reply in early] == ["passed", "stop", "passed"]


def says(text, finish="stop"):
    return Completion(text, finish, 1, 1)


@pytest.mark.parametrize(
    ("replies", "answer"),
    [
        ([says("7"), says("The answer is 7.")], "7"),
        ([says("7"), says("8")], None),
        ([says(""), says("")], None),
        ([says("7"), says("7", "length")], None),
        ([says("7"), says("", "failed")], None),
    ],
)
def test_what_agreeing_is(replies, answer):
    found = agreed(Example("", "3 + 4 =", ""), ["a", "b"], replies)
    assert (found.text if found else None) == answer


def test_letters_agree_in_different_words():
    example = Example("", "Which?", "", choices={"A": "red", "B": "blue"})
    assert agreed(example, ["a", "b"], [says("B"), says("Answer: B")]).text == "B"
    assert agreed(example, ["a", "b"], [says("A"), says("Answer: B")]) is None


def test_the_found_system_keeps_it_and_the_run_counts_it(tmp_path):
    runs = {
        yes: search(build_recipe(toy_content(nodes=4, early_exit=yes)), tmp_path / str(yes)) for yes in (True, False)
    }
    exits, whole = (runs[yes].report for yes in (True, False))
    assert exits["calls"]["requested"] < whole["calls"]["requested"]
    assert exits["calls"]["skipped"] > 0 == whole["calls"]["skipped"]
    assert (load(tmp_path / "True").early_exit, load(tmp_path / "False").early_exit) == (True, False)
    again = search(build_recipe(toy_content(nodes=4, early_exit=True, reuse=False)), tmp_path / "again").report
    assert again["dev"] == exits["dev"]
    assert np.isfinite(exits["test"]["score"])


def test_a_trace_says_who_was_not_asked(tmp_path, capsys):
    system = System(TOGETHER, ADEPTS, base="toy", engine=EngineSettings(name="toy"), early_exit=True)
    system.save(tmp_path / "system")
    assert main(["ask", str(tmp_path / "system"), question([0]).question, "--trace"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.rpartition(": ")[2] for line in said] == [
        "done 0",
        "done 0",
        "not asked, the leaves agree",
        "not asked, the leaves agree",
        "done 0",
    ]
