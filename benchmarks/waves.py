"""How long workers would wait at the ends of waves, in a real search: batches as measured, workers simulated.

python benchmarks/waves.py RECIPE [--set KEY=VALUE] [--workers 2]
The recipe is searched in one process, and the processor's time of each batch is noted. The same waves are then played
on several workers with the search's own router, each batch taking its time; nothing of the next wave starts before the
last batch of one is done. "waits" is the share of the workers' time in which they have no batch, the search's own work
between waves included. Whole batches are those of one process, divided ones those of that many workers.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from measuring import publish

import hswarm.session.session
from hswarm.config.recipe import read_recipe
from hswarm.engines.base import Completion, Request
from hswarm.engines.parallel import divided
from hswarm.experiments.search import search
from hswarm.system.executor import Executor
from hswarm.workers.router import Work, makespan

waves: list[list[Work]] = []
began: list[float] = []
workers = [1]  # that batches are divided among


class Noting(Executor):
    """Notes the processor's time of each batch, wave by wave, and when the first wave began."""

    def _wave(
        self, requests: Sequence[Request], salts: Sequence[str], step: str, tell: Callable[[int, Completion], None]
    ) -> None:
        waves.append([])
        began.append(time.process_time())
        if "generate" not in vars(self.engine):
            generate, batches = self.engine.generate, self.engine.batches

            def timed(batch: Sequence[Request]) -> list[Completion]:
                start = time.process_time()
                made = generate(batch)
                waves[-1].append(Work(batch[0].expert.digest, time.process_time() - start))
                return made

            vars(self.engine)["generate"] = timed
            vars(self.engine)["batches"] = lambda asked: divided(batches(asked), workers[-1])
        super()._wave(requests, salts, step, tell)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    vars(hswarm.session.session)["Executor"] = Noting
    figures: dict[str, Any] = {"recipe": Path(given.recipe).name, "set": given.overrides, "workers": given.workers}
    results = []
    for name, count in (("whole", 1), ("divided", given.workers)):
        waves.clear()
        began.clear()
        workers.append(count)
        with tempfile.TemporaryDirectory() as folder:
            run = search(read_recipe(given.recipe, given.overrides), Path(folder) / "run")
            spent = time.process_time() - began[0]
            results.append((run.path / "history.jsonl").read_bytes())
        busy = sum(batch.cost for wave in waves for batch in wave)
        figures[f"{name}: waves, batches"] = [sum(map(bool, waves)), sum(map(len, waves))]
        figures[f"{name}, one worker: waits"] = 1 - busy / spent
        wall = spent - busy + sum(makespan(wave, given.workers) for wave in waves)
        figures[f"{name}, {given.workers} workers: waits"] = 1 - busy / (given.workers * wall)
        figures[f"{name}, {given.workers} workers: waits at the ends of waves"] = 1 - busy / (
            given.workers * sum(makespan(wave, given.workers) for wave in waves)
        )
    figures["the same history"] = results[0] == results[1]
    publish("waves", "workers wait less than 2 % of the time", figures)


if __name__ == "__main__":
    main()
