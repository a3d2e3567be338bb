"""How long a search takes until its first call is answered, and `hswarm ask` until its answer, on a warm cache.

    python benchmarks/opening.py recipes/smollm2.toml [--engine openvino] [--repeats 3]
Each is a process of its own. Beside the seconds of the clock stand those of the processor, which say more where others
are at work.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

from measuring import clock, publish

from hswarm.config.recipe import read_recipe
from hswarm.core.topology import Topology
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.experts.pool import open_pool
from hswarm.system.system import System

FIRST_CALL = """
import sys
from hswarm.config.recipe import read_recipe
from hswarm.session.session import Session
session = Session.load(read_recipe(sys.argv[1], [f"engine.name={sys.argv[2]}"]))
session.executor.run([session.evaluator.alone(session.pool.experts[0])], session.task.dev[:1], "first")
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    pool = open_pool(read_recipe(given.recipe).pool)
    with tempfile.TemporaryDirectory() as folder:
        system = System(
            Topology.chain(2),
            pool.experts[:2],
            base=pool.base,
            engine=EngineSettings(given.engine),
            sampling=Sampling(max_new_tokens=16),
        )
        system.save(Path(folder) / "system")
        asking = [sys.executable, "-m", "hswarm.cli.main", "ask", f"{folder}/system", "What is 3 + 4?"]
        figures: dict[str, object] = {"recipe": Path(given.recipe).name, "engine": given.engine}
        figures |= measured(
            "first call of a search", [sys.executable, "-c", FIRST_CALL, given.recipe, given.engine], given
        )
        figures |= measured("hswarm ask", asking, given)
    publish("opening", "a search's first call is answered within 5 s, hswarm ask within 4 s", figures)


def measured(name: str, command: list[str], given: argparse.Namespace) -> dict[str, float]:
    """Medians of the clock's and the processor's seconds of `command`, after a run that warms the caches."""
    run = partial(subprocess.run, command, check=True, capture_output=True, env={**os.environ, "TQDM_DISABLE": "1"})
    run()
    clocks, processors = [], []
    for _ in range(given.repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        clocks.append(clock(run)[0])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processors.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {f"{name}, s": median(clocks), f"{name}, processor s": median(processors)}


if __name__ == "__main__":
    main()
