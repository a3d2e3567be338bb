"""A real Ray on this machine: the same run as in one process, whoever dies meanwhile."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import openai
import pytest

from hswarm.cli.main import main
from hswarm.config.recipe import Recipe, build_recipe
from hswarm.core.topology import Topology
from hswarm.engines.base import EngineSettings, Request, Sampling, close
from hswarm.engines.parallel import ParallelEngine
from hswarm.engines.toy import ToyEngine, toy_pool
from hswarm.errors import ConfigError
from hswarm.experts.expert import Expert
from hswarm.server.replicas import open_replicas
from tests.conftest import ROOT, toy_content
from tests.engines.crew_parts import open_slow
from tests.engines.test_crew import assert_the_same_while, result
from tests.known import of_kind
from tests.server.serving import ANSWER, ORDER, QUESTION, serving, toy_system

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[ModuleType]:
    """Connected to a local Ray with room for three workers, which find the tests' modules."""
    from hswarm.workers import on_ray

    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{ROOT / 'src'}:{ROOT}"
    on_ray.connect("local", 3)
    yield on_ray
    ray.shutdown()
    os.environ["PYTHONPATH"] = before


def recipe(**engine: object) -> Recipe:
    content = toy_content()
    content["engine"] |= {"batch": 8} | engine
    return build_recipe(content)


def test_a_search_on_ray_whose_actors_are_killed_is_the_search_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: ModuleType
) -> None:
    made = ParallelEngine([make(open_slow, (8,)) for make in cluster.worker_makers(3, False)])
    killed = list[int]()

    def kill(stop: threading.Event) -> None:
        while len(killed) < 3 and not stop.wait(0.4):
            worker = made._team.workers[len(killed) % 3]
            try:
                process = worker.call("process")
                os.kill(process, signal.SIGKILL)
                killed.append(process)
            except Exception:  # it is starting
                continue

    assert_the_same_while(kill, made, recipe(), tmp_path, monkeypatch)
    assert killed


def test_from_the_command_line_in_one_line(tmp_path: Path, root: Path, cluster: ModuleType) -> None:
    words = ["--set", "task.dev=10", "--set", "task.test=10", "--set", "search.iterations=2"]
    recipe = str(root / "recipes/toy.toml")
    assert main(["search", recipe, *words, "--run", str(tmp_path / "one")]) == 0
    ours = ["--set", "engine.cluster=local", "--set", "engine.workers=2"]
    assert main(["search", recipe, *words, *ours, "--run", str(tmp_path / "two")]) == 0
    assert result(tmp_path / "one") == result(tmp_path / "two")


def test_an_expert_travels_once_a_change(cluster: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ParallelEngine([make(open_slow, (4,)) for make in cluster.worker_makers(2, False)])
    asked = [
        Request(e, f"steps 0 1 2; difficulty 0.{k} 0.5 0.5", Sampling()) for e in toy_pool(3).experts for k in range(9)
    ]
    cluster._STORE.clear()
    puts, put = list[str](), cluster.ray.put

    def noted(value: Expert) -> object:
        puts.append(value.digest)
        return put(value)

    monkeypatch.setattr(cluster.ray, "put", noted)
    for _ in range(2):
        assert made.generate(asked) == ToyEngine(EngineSettings("toy")).generate(asked)
    made.close()
    assert sorted(puts) == sorted(expert.digest for expert in toy_pool(3).experts)


def test_cells_of_a_comparison_run_on_the_cluster(tmp_path: Path, root: Path, cluster: ModuleType) -> None:
    words = [
        "compare",
        str(root / "recipes/toy.toml"),
        "--methods",
        "best_single,random_search",
        "--seeds",
        "2",
        "--jobs",
        "2",
        "--set",
        "task.dev=8",
        "--set",
        "task.test=10",
        "--set",
        "search.iterations=2",
    ]
    assert main([*words, "--run", str(tmp_path / "here")]) == 0
    assert main([*words, "--set", "engine.cluster=local", "--run", str(tmp_path / "there")]) == 0
    tables = [(tmp_path / name / "table.md").read_text().split("search s |")[0] for name in ("here", "there")]
    assert tables[0] == tables[1]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="set one of the two"):
        recipe(cluster="local", devices=[0])
    with pytest.raises(ConfigError, match=r"ray://host:port.*got 'ray:/x'"):
        recipe(cluster="ray:/x")
    with pytest.raises(ConfigError, match="actors on a cluster"):
        recipe(workers=3)


def test_a_server_on_ray_answers_while_an_actor_is_killed(cluster: ModuleType) -> None:
    """hswarm serve --cluster: several actors behind one door, and a lost one is replaced."""
    engines = open_replicas(EngineSettings("toy", cluster="local", workers=2), ["toy"], [])
    assert len(engines) == 2
    (worker,) = of_kind(ParallelEngine, engines[0])._team.workers

    def ask(number: int) -> str:
        with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
            return client.completions.create(model="toy", prompt=QUESTION + " " * number).choices[0].text

    try:
        with serving({"toy": toy_system(Topology.chain(4), ORDER)}, *engines) as address, ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(16))) == [ANSWER] * 16
            asked = [pool.submit(ask, number) for number in range(100, 132)]
            ray.kill(of_kind(cluster.RayWorker, worker)._actor)
            assert [one.result() for one in asked] == [ANSWER] * 32
            assert list(pool.map(ask, range(200, 208))) == [ANSWER] * 8
            assert worker.lives == 2
    finally:
        for engine in engines:
            close(engine)
