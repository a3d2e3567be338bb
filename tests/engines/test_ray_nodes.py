"""A Ray of several nodes, one of which is lost during a search while another joins: the same run as in one process."""

import os
import threading
import time

import pytest
from crew_parts import open_slow
from test_crew import result

from conftest import ROOT, toy_content
from hswarm.config import build_recipe
from hswarm.engines.crew import Crew
from hswarm.runs.search import search

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")


def test_a_machine_is_lost_and_another_joins(tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    from hswarm.workers import on_ray

    content = toy_content(iterations=10, patience=10)
    content["engine"]["batch"] = 4
    recipe = build_recipe(content)
    search(recipe, tmp_path / "one")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT / 'tests/engines'}")
    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    other = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        made = Crew([make(open_slow, (4,)) for make in on_ray.worker_makers(3, False)])  # one waits for a machine
        monkeypatch.setattr("hswarm.runs.search.open_engine", lambda settings, bases: made)
        while made.ready < 2:
            time.sleep(0.1)
        searching = threading.Thread(target=search, args=(recipe, tmp_path / "two"))
        searching.start()
        time.sleep(1)
        cluster.remove_node(other)
        cluster.add_node(num_cpus=2)
        searching.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
        os.environ.pop("RAY_ADDRESS", None)
    assert made.deaths >= 1
    assert result(tmp_path / "one") == result(tmp_path / "two")
