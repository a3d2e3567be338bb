"""Claim: one answer of a system takes near the depth of its graph in calls, not its number of nodes.

python benchmarks/latency.py [--ms 200] [--workers 8]
One question; calls sleep for a known time on worker processes (a graphics card each, say). Rival: one worker, which
answers node after node.
"""

import argparse
import time

from measuring import publish
from sleeping import open_sleeping

from hswarm.config.recipe import build_recipe
from hswarm.core.topology import Topology
from hswarm.engines.parallel import ParallelEngine
from hswarm.engines.toy import toy_pool
from hswarm.session.evaluator import Evaluator
from hswarm.system.executor import Executor
from hswarm.tasks import load_task
from hswarm.workers.devices import Place
from hswarm.workers.worker import ProcessWorker

NODES = 9
TREE = [(7, 6), (8, 6), (4, 2), (5, 2), (3, 1), (6, 1), (2, 0), (1, 0)]
SHAPES = {"chain": Topology.chain(NODES), "tree": Topology.of(NODES, TREE), "star": Topology.star(NODES)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ms", type=float, default=200)
    parser.add_argument("--workers", type=int, default=8)
    given = parser.parse_args()
    recipe = build_recipe(
        {
            "task": {"name": "toy", "dev": 3, "options": {"toy": {"steps": NODES}}},
            "engine": {"name": "toy"},
            "search": {"nodes": NODES},
        }
    )
    pool, task = toy_pool(NODES), load_task(recipe.task)
    table: dict[str, dict[str, float]] = {}
    for workers in (1, given.workers):
        crew = ParallelEngine([ProcessWorker(open_sleeping, (given.ms / 1000, 8), Place()) for _ in range(workers)])
        while crew.ready < workers:
            time.sleep(0.1)
        for name, topology in SHAPES.items():
            evaluator = Evaluator(task, recipe, pool, Executor(crew, settings=recipe.engine))  # knows no call yet
            system = evaluator.system(topology, pool.experts)
            began = time.monotonic()
            evaluator.executor.run([system], task.dev[:1], "answer")
            calls = (time.monotonic() - began) / (given.ms / 1000)
            row = table.setdefault(name, {"nodes": NODES, "depth": len(topology.stages)})
            row[f"calls' time, {workers} workers"] = round(calls, 2)
        crew.close()
    publish(
        "latency",
        "one answer takes about as long as a chain of calls as deep as its graph",
        {"ms a call": given.ms, "shapes": table},
    )


if __name__ == "__main__":
    main()
