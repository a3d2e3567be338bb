"""A Ray of several nodes, one of which is lost during a search: the same run as in one process."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hswarm.config.recipe import build_recipe
from hswarm.engines.parallel import ParallelEngine
from hswarm.workers.worker import WorkerLost
from tests.conftest import ROOT, toy_content
from tests.engines.crew_parts import open_slow
from tests.engines.test_crew import assert_the_same_while

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")


@pytest.mark.parametrize("joins", [True, False])
def test_a_machine_is_lost_and_another_joins_or_none(
    joins: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without another, two of three workers wait for room as long as the search goes on."""
    from ray.cluster_utils import Cluster

    from hswarm.workers import on_ray

    content = toy_content(iterations=10, patience=10)
    content["engine"]["batch"] = 4
    recipe = build_recipe(content)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    other = cluster.add_node(num_cpus=1)
    on_ray.connect(cluster.address, 3)
    try:
        made = ParallelEngine(
            [make(open_slow, (4,)) for make in on_ray.worker_makers(3, False)]
        )  # one waits for a machine
        until = time.monotonic() + 120
        while made.ready < 2:
            assert time.monotonic() < until
            time.sleep(0.1)

        # A node sets signal handlers, which only the main thread may; this one joins from another.
        monkeypatch.setattr("ray._private.utils.set_sigterm_handler", lambda handler: None)

        def lose(stop: threading.Event) -> None:
            stop.wait(1)
            cluster.remove_node(other)
            if joins:
                cluster.add_node(num_cpus=2)
            stop.wait()  # a node's processes end with the thread that started them

        assert_the_same_while(lose, made, recipe, tmp_path, monkeypatch)
    finally:
        ray.shutdown()
        cluster.shutdown()
        os.environ.pop("RAY_ADDRESS", None)


def test_workers_of_a_cluster_that_was_left_are_lost() -> None:
    """Neither a wait without end nor a new cluster of Ray's own."""
    from hswarm.workers import on_ray

    ray.shutdown()
    on_ray.connect("local", 1)
    running, waiting = (on_ray.RayWorker(open_slow, (4,), {"num_cpus": cores}) for cores in (1, 1000))
    running.start()
    with ThreadPoolExecutor() as threads:
        start = threads.submit(waiting.start)
        while waiting.lives == 0:
            time.sleep(0.1)
        time.sleep(1)
        ray.shutdown()
        with pytest.raises(WorkerLost):
            start.result(60)
    for worker in (running, waiting):
        with pytest.raises(WorkerLost):
            worker.call("process")
        with pytest.raises(WorkerLost, match="connection to the Ray cluster has ended"):
            worker.start()
    assert not ray.is_initialized()
