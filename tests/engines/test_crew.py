"""Several worker processes answer as one: the same run, whoever dies meanwhile."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hswarm.config.recipe import Recipe, build_recipe
from hswarm.engines import open_engine
from hswarm.engines.base import Completion, EngineSettings, Request, Sampling, close
from hswarm.engines.parallel import ParallelEngine
from hswarm.engines.toy import ToyEngine, toy_pool
from hswarm.errors import ConfigError, EngineError, MissingExtra, PoolError
from hswarm.experiments.search import search
from hswarm.system.executor import Executor
from hswarm.workers.devices import Place
from hswarm.workers.worker import ProcessWorker
from tests.conftest import toy_content
from tests.engines.crew_parts import open_faulty, open_slow
from tests.known import adapter


def result(path: Path) -> tuple[Any, Any, Any]:
    report = json.loads((path / "report.json").read_text())
    del report["wall_s"]
    return (path / "history.jsonl").read_bytes(), report, (path / "best/system.json").read_bytes()


def assert_the_same_while(
    happening: Any, made: Any, recipe: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search on `made`, some of whose workers die while `happening(stop)` goes on, ends as one in this process."""
    search(recipe, folder / "one")
    monkeypatch.setattr("hswarm.session.session.open_engine", lambda *_: made)
    stop = threading.Event()
    meanwhile = threading.Thread(target=happening, args=(stop,))
    meanwhile.start()
    try:
        search(recipe, folder / "two")
    finally:
        stop.set()
        meanwhile.join()
    assert made.deaths >= 1
    assert result(folder / "one") == result(folder / "two")


def recipe(devices: Any = (), **engine: Any) -> Recipe:
    content = toy_content()
    content["engine"] |= {"batch": 8, "devices": list(devices)} | engine
    return build_recipe(content)


@pytest.fixture
def crew() -> Iterator[Any]:
    crews = []

    def make(count: int = 2, make: Any = open_slow, arguments: Any = (4,)) -> Any:
        crews.append(ParallelEngine([ProcessWorker(make, arguments, Place()) for _ in range(count)]))
        return crews[-1]

    yield make
    for one in crews:
        one.close()


def requests(prompts: Any, experts: int = 3) -> list[Request]:
    return [Request(expert, prompt, Sampling()) for prompt in prompts for expert in toy_pool(experts).experts]


def test_a_search_on_two_devices_is_the_search_on_one(tmp_path: Path) -> None:
    search(recipe(), tmp_path / "one")
    search(recipe([0, 1]), tmp_path / "two")
    assert result(tmp_path / "one") == result(tmp_path / "two")


def test_a_search_whose_workers_are_killed_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crew: Any
) -> None:
    """Killed again and again, at any moment: while answering, waiting, starting."""
    made = crew(arguments=(8,))

    def kill(stop: threading.Event) -> None:
        for k in range(6):
            if stop.wait(0.15):
                return
            process = made._team.workers[k % 2]._process
            if process is not None:
                process.kill()

    assert_the_same_while(kill, made, recipe(), tmp_path, monkeypatch)


def test_replies_come_in_order_and_experts_travel_once(crew: Any) -> None:
    asked = requests([f"steps 0 1 2; difficulty 0.{k} 0.5 0.5" for k in range(9)])
    one = crew()
    assert one.generate(asked) == ToyEngine(EngineSettings("toy")).generate(asked)
    assert one.generate(asked[::-1])[::-1] == one.generate(asked)
    held = [len(held.sizes) for held in one._held.values()]
    assert 3 <= sum(held) <= 6


def test_a_call_that_kills_workers_is_failed_and_the_rest_is_answered(crew: Any) -> None:
    asked = requests(["steps 0 1; difficulty 0.1 0.1"], experts=1) * 2 + requests(["poison"], experts=1)
    made = crew(1, arguments=(2,)).generate(asked)
    assert [reply.finish for reply in made] == ["stop", "stop", "failed"]


def test_faults_keep_their_kind_on_their_way(crew: Any) -> None:
    for fault in (ConfigError(["a", "b"]), MissingExtra("engine 'x'", "y"), PoolError("no base")):
        with pytest.raises(type(fault), match=str(fault).replace("[", r"\[")) as caught:
            crew(1, open_faulty, (fault,))
        assert vars(caught.value) == vars(fault)


def test_a_worker_that_hangs_is_given_up_and_replaced(crew: Any) -> None:
    one = crew(count=1)
    executor = Executor(one, settings=EngineSettings(timeout=0.2))
    with pytest.raises(EngineError, match="gave no answer to 3 calls in 0.2 s"):
        list(one.spread([requests(["hang"])], executor.guard.generate))
    assert len(one.generate(requests(["x"]))) == 3


def test_options_are_chosen_by_the_engine_itself(crew: Any) -> None:
    asked = [Request(toy_pool(2).experts[0], "x", Sampling(choose="letter"), (("A", "yes"), ("B", "no")))]
    with pytest.raises(Exception, match="sampling.choose needs an engine that gives likelihoods"):
        crew(1).generate(asked)


def test_devices_on_a_cpu_are_pinned_shares_of_its_cores() -> None:
    engine = open_engine(EngineSettings("tests.engines.crew_parts:Pinned", device="cpu", devices=(0, 1)), "toy")
    try:
        said = {reply.text for _ in range(20) for reply in engine.generate(requests(["x"]))}
    finally:
        close(engine)
    cores = sorted(os.sched_getaffinity(0))
    assert said <= {str(cores[: len(cores) // 2]), str(cores[len(cores) // 2 :])}
    assert len(said) == 2


def test_a_remote_expert_stays_in_this_process() -> None:
    engine = open_engine(EngineSettings("toy", devices=(0, 1)), ["openai", "toy"])
    try:
        assert engine.fingerprint == "openai/1; toy/2"
        asked = requests(["steps 0 1; difficulty 0.1 0.1"], experts=2)
        asked = [Request(adapter(r.expert).with_base("toy"), r.prompt, r.sampling) for r in asked]
        assert [reply.finish for reply in engine.generate(asked)] == ["stop", "stop"]
        assert all(isinstance(reply, Completion) for reply in engine.generate(asked))
    finally:
        close(engine)
