"""A real Ray on this machine: the same run as in one process, whoever dies meanwhile."""

import os
import signal

import pytest

from hswarm.cli.main import main
from hswarm.config.recipe import build_recipe
from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.engines.parallel import ParallelEngine
from hswarm.engines.toy import ToyEngine, toy_pool
from hswarm.errors import ConfigError
from tests.conftest import ROOT, toy_content
from tests.engines.crew_parts import open_slow
from tests.engines.test_crew import assert_the_same_while, result

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster():
    """Connected to a local Ray with room for three workers, which find the tests' modules."""
    from hswarm.workers import on_ray

    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{ROOT / 'src'}:{ROOT}"
    on_ray.connect("local", 3)
    yield on_ray
    ray.shutdown()
    os.environ["PYTHONPATH"] = before


def recipe(**engine):
    content = toy_content()
    content["engine"] |= {"batch": 8} | engine
    return build_recipe(content)


def test_a_search_on_ray_whose_actors_are_killed_is_the_search_on_one(tmp_path, monkeypatch, cluster):
    made, killed = ParallelEngine([make(open_slow, (8,)) for make in cluster.worker_makers(3, False)]), []

    def kill(stop):
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


def test_from_the_command_line_in_one_line(tmp_path, root, cluster):
    words = ["--set", "task.dev=10", "--set", "task.test=10", "--set", "search.iterations=2"]
    recipe = str(root / "recipes/toy.toml")
    assert main(["search", recipe, *words, "--run", str(tmp_path / "one")]) == 0
    ours = ["--set", "engine.cluster=local", "--set", "engine.workers=2"]
    assert main(["search", recipe, *words, *ours, "--run", str(tmp_path / "two")]) == 0
    assert result(tmp_path / "one") == result(tmp_path / "two")


def test_an_expert_travels_once_a_change(cluster):
    made = ParallelEngine([make(open_slow, (4,)) for make in cluster.worker_makers(2, False)])
    asked = [
        Request(e, f"steps 0 1 2; difficulty 0.{k} 0.5 0.5", Sampling()) for e in toy_pool(3).experts for k in range(9)
    ]
    cluster._STORE.clear()
    puts, put = [], cluster.ray.put
    cluster.ray.put = lambda value: puts.append(value.digest) or put(value)
    try:
        for _ in range(2):
            assert made.generate(asked) == ToyEngine(EngineSettings("toy")).generate(asked)
    finally:
        cluster.ray.put = put
        made.close()
    assert sorted(puts) == sorted(expert.digest for expert in toy_pool(3).experts)


def test_cells_of_a_comparison_run_on_the_cluster(tmp_path, root, cluster):
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


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="set one of the two"):
        recipe(cluster="local", devices=[0])
    with pytest.raises(ConfigError, match=r"ray://host:port.*got 'ray:/x'"):
        recipe(cluster="ray:/x")
    with pytest.raises(ConfigError, match="actors on a cluster"):
        recipe(workers=3)
