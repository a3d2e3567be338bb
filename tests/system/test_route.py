"""A route asks the systems that a question needs, in the executor and the server alike, and is saved with the system."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hswarm import Topology, load
from hswarm.cli.main import main
from hswarm.engines import open_engine
from hswarm.engines.base import Completion, EngineSettings, Sampling
from hswarm.engines.toy import ToyEngine, toy_pool
from hswarm.errors import RunError
from hswarm.experiments.route import union
from hswarm.server.ask import Ask, Event
from hswarm.server.batcher import Batcher
from hswarm.system.execution import Execution, Plan
from hswarm.system.executor import Executor
from hswarm.system.route import Route, Router
from hswarm.system.system import System
from hswarm.tasks.task import Example
from hswarm.tasks.toy import generate

POOL = toy_pool(3).experts
CHEAP, RED, COSTLY = (
    System(Topology.chain(1), POOL[:1]),
    System(Topology.chain(1), POOL[1:2]),
    System(Topology.chain(2), (POOL[0], POOL[2])),
)
QUESTION = Example("", "red or blue?", "blue")


def said(text: str) -> Completion:
    return Completion(text, "stop" if text else "failed", 1, 1)


def route(price: float = 0.0, sure: float = 0.0, weights: tuple[float, ...] = (0.3, 0.5, 0.6)) -> Execution:
    """A question at a route among three systems that are expected to score `weights`."""
    router = Router(("red",), tuple((weight, 0.0, 0.0) for weight in weights), price, sure)
    return Execution(Plan(union([CHEAP, RED, COSTLY], Route.by(router))), QUESTION)


def test_equal_nodes_of_the_systems_are_one() -> None:
    system = union([CHEAP, RED, COSTLY], Route.by(Router((), ((0.0, 0.0),) * 3)))
    assert [node.name for node in system.nodes] == ["step-0", "step-1", "step-2", "route"]
    assert system.topology == Topology.of(4, [(0, 2), (0, 3), (1, 3), (2, 3)])
    apart = [replace(one, prompts=replace(one.prompts, style="place")) for one in (CHEAP, RED, COSTLY)]
    assert union(apart, Route.by(Router((), ((0.0, 0.0),) * 3))).topology.size == 5  # a prompt tells the place


def test_the_most_promising_is_asked_and_a_call_must_be_worth_its_price() -> None:
    free = route()
    assert free.ready() == [0]
    assert free.tell(0, said("red")) == []
    assert free.ready() == [2]
    assert free.tell(2, said("blue")) == [3]
    assert free.answer == Completion("blue", "stop", 0, 0)
    priced = route(price=0.2)
    assert priced.ready() == [1]
    assert priced.tell(1, said("blue")) == [3]
    assert priced.replies[0] is None


def test_who_is_not_sure_asks_on_until_two_agree() -> None:
    unsure = route(price=0.4, sure=0.7)
    assert unsure.ready() == [1]
    assert unsure.tell(1, said("blue")) == []
    assert unsure.ready() == [0]  # 0.3 less a call against 0.6 less two
    assert unsure.tell(0, said("blue")) == [3]  # 0.5 + 0.3
    torn = route(price=0.4, sure=0.7)
    torn.tell(1, said("blue"))
    assert torn.tell(0, said("red")) == []
    assert torn.ready() == [2]
    torn.tell(2, said("red"))
    assert torn.answer is not None
    assert torn.answer.text == "red"  # 0.3 + 0.6


def test_the_executor_asks_a_longer_system_after_a_shorter_one_from_its_beginning() -> None:
    longer = System(Topology.chain(3), (POOL[1], POOL[2], POOL[0]))
    always = Router((), ((0.6, 0.0), (0.5, 0.0)), sure=2.0)  # sure only where both agree, and not even then
    system = union([CHEAP, longer], Route.by(always))
    questions = generate(6, 0, 3)
    executor = Executor(ToyEngine(EngineSettings("toy")))
    (nodes,) = executor.run([system], questions, "step")
    assert all(reply.finish == "stop" for replies in nodes for reply in replies)
    assert executor.ledger.requested == 4 * 6
    ((*_, last),) = executor.run([longer], questions, "alone")
    assert nodes[-2] == last


def test_a_failed_call_fails_the_answer() -> None:
    execution = route(price=0.2)
    execution.tell(1, said(""))
    assert execution.answer is not None
    assert execution.answer.finish == "failed"


def test_what_a_client_asks_of_the_answer_is_asked_of_those_who_may_give_it() -> None:
    weights = tuple((weight, 0.0) for weight in (0.3, 0.5, 0.6))
    system = union([CHEAP, RED, COSTLY], Route.by(Router((), weights)))
    ask = Ask(system, QUESTION.question, Sampling(1), Sampling(9))
    assert ask.ready() == [0]
    ask.reply(0, said("red"))
    assert [ask.request(node).sampling.max_new_tokens for node in (0, 2)] == [9, 9]
    assert system.ends == (0, 1, 2)


def test_a_router_learns_the_words_that_decide_and_no_others() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(30)]
    texts = [" ".join([*rng.choice(words, 5), *["red"] * rng.integers(2)]) for _ in range(60)]
    examples = [Example("", text, "") for text in texts]
    scores = np.array([[float("red" in text) for text in texts], [1.0] * 60])
    router = Router.fit(examples, scores)
    assert router.words == ("red",)
    assert router.expected(Example("", "w1 red", "")) == pytest.approx([1, 1], abs=0.1)
    assert router.expected(Example("", "w1 w2", "")) == pytest.approx([0, 1], abs=0.1)


@pytest.mark.parametrize("place", [0, 1])
def test_a_route_stands_at_the_sink_over_as_many_as_it_knows(place: int) -> None:
    few = Route.by(Router((), ((0.0, 0.0),)))
    nodes = [(few, POOL[0]), (POOL[0], Route.by(Router((), ((0.0, 0.0),) * 2)))][place]
    with pytest.raises(ValueError, match="routes among"):
        System(Topology.chain(2), nodes)


@pytest.mark.model
@pytest.mark.slow
def test_a_run_is_routed_evaluated_exported_and_served(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, folder = tmp_path / "run", tmp_path / "run/routed"
    small = [word for one in ("budget.calls=300", "task.dev=24", "task.test=24") for word in ("--set", one)]
    assert main(["search", str(root / "recipes/micro-tasks/plain-three.toml"), *small, "--run", str(run)]) == 0
    assert main(["route", str(run), "--json", str(tmp_path / "told.json")]) == 0
    told = json.loads((tmp_path / "told.json").read_text())
    assert told == json.loads((folder / "route.json").read_text())
    ours, alone, found = told["rows"][:3]
    assert ours["calls"] <= found["calls"]
    assert ours["test"]["score"] >= max(found["test"]["score"], alone["test"]["score"]) - 0.1
    assert "route" in (folder / "route.svg").read_text()
    capsys.readouterr()
    assert main(["evaluate", str(folder), "--task", str(run)]) == 0
    assert f"{ours['test']['score']:.3f}" in capsys.readouterr().out
    assert main(["export", str(folder), str(tmp_path / "bundle")]) == 0
    system = load(tmp_path / "bundle", base=str(root / "experts/micro/base"))
    lines = (run / "answers.jsonl").read_text().splitlines()[:8]
    questions = [json.loads(line)["question"] for line in lines]
    engine = open_engine(system.engine, system.bases, system.experts)
    executor = Executor(engine)
    asked = [Example(str(i), question, "") for i, question in enumerate(questions)]
    (nodes,) = executor.run([system], asked, "test")
    served, calls = _serve(system, engine, questions)
    assert served == [reply.text for reply in nodes[system.topology.sink]]
    assert calls == executor.ledger.requested
    assert calls < sum(node.calls for node in system.nodes) * len(questions)


def _serve(system: System, engine: object, questions: list[str]) -> tuple[list[str], int]:
    """Answers of a server's batcher, and the calls that the questions took."""
    ended = threading.Semaphore(0)

    def tell(event: Event) -> None:
        if event.kind == "failed" or (event.kind == "done" and event.node == system.topology.sink):
            ended.release()

    asks = [Ask(system, question, system.sampling, system.sampling, tell) for question in questions]
    batcher = Batcher([engine])  # type: ignore[list-item]
    batcher.submit(asks)
    assert all(ended.acquire(timeout=120) for _ in questions)
    batcher.stop()
    return [ask.answer.text for ask in asks], sum(len(ask.replies) - 1 for ask in asks)


def test_a_route_is_refused_where_it_cannot_be(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    words = ["--set", "search.nodes=2", "--set", "task.options.toy.steps=2", "--set", "budget.calls=300"]
    assert main(["search", str(root / "recipes/toy.toml"), *words, "--run", str(run)]) == 0
    (tmp_path / "mine").mkdir()
    refused = {
        ("--best", "1"): "expected --best from 2",
        ("--price", "nan"): "expected --best from 2 and --price from 0",
        ("--to", str(tmp_path / "mine")): "holds no route; name another folder",
        ("--price", "0"): "no route pays",
    }
    for more, told in refused.items():
        capsys.readouterr()
        assert main(["route", str(run), *more]) == 2
        assert told in capsys.readouterr().err
    few = tmp_path / "few"
    assert main(["search", str(root / "recipes/toy.toml"), *words, "--set", "task.dev=5", "--run", str(few)]) == 0
    capsys.readouterr()
    assert main(["route", str(few)]) == 2
    assert "at least, the run has 5" in capsys.readouterr().err
    (run / "report.json").unlink()
    assert main(["route", str(run)]) == 2
    assert "hswarm resume" in capsys.readouterr().err


def test_a_saved_router_is_checked(tmp_path: Path) -> None:
    system = union([CHEAP, RED], Route.by(Router(("red",), ((0.1, 0.0, 0.2), (0.3, 0.0, 0.0)), 0.01, 0.5)))
    system.save(tmp_path / "routed")
    again = load(tmp_path / "routed")
    assert [node.digest for node in again.nodes] == [node.digest for node in system.nodes]
    path = tmp_path / "routed/system.json"
    path.write_text(path.read_text().replace('"red"\n', '"red", "blue"\n'))
    with pytest.raises(RunError, match="router of 2 words"):
        load(tmp_path / "routed")
