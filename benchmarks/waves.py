"""How long workers would wait at the ends of waves, in a real search: batches as measured, workers simulated.

python benchmarks/waves.py RECIPE [--set KEY=VALUE] [--workers 2]
The recipe is searched in one process, and the processor's time of each batch is noted. The same waves are then played
on several workers with the search's own router, each batch taking its time; nothing of the next wave starts before the
last batch of one is done. "waits" is the share of the workers' time in which they have no batch, the search's own work
between waves included. Whole batches are those of one process, divided ones those of that many workers.

python benchmarks/waves.py RECIPE [--set KEY=VALUE] --judge SECONDS
The recipe's questions are put to two experts behind an API on this machine, and a judge there rates the answers; every
reply takes so long, and experts and judge give 16 at a time. Measured is the evaluation in which the judge comes after
all answers, and that in which it rates while others are still given, twice each in turns.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from measuring import clock, publish

import hswarm.session.evaluator
import hswarm.session.session
from hswarm.config.recipe import build_recipe, read_recipe
from hswarm.consent import allowed
from hswarm.engines.base import Completion, Request
from hswarm.engines.parallel import divided
from hswarm.experiments.search import search
from hswarm.session.session import Session
from hswarm.system.early_judge import judged_early
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


class Slow(BaseHTTPRequestHandler):
    """An API whose every model replies after `seconds`: the judge with a rating, others with their own answer."""

    seconds = 0.0

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(self.seconds)
        said = "Rating: 7" if asked["model"] == "judge" else f"{asked['model']} knows"
        message = {"role": "assistant", "content": said}
        reply = json.dumps({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *words: object) -> None:
        """Nothing is written."""


@contextmanager
def served(seconds: float) -> Iterator[str]:
    """The address of the API."""
    Slow.seconds = seconds
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def judged(name: str, overrides: list[str], seconds: float) -> None:
    """Measure and publish how long the evaluation takes, apart and together."""
    took: dict[str, list[float]] = {"apart": [], "together": []}
    found = []
    with served(seconds) as url, allowed(url):
        content = read_recipe(name, overrides).model_dump(mode="json")
        content["pool"] = {"remote": [{"name": one, "model": one, "url": url, "concurrency": 8} for one in ("a", "b")]}
        content["engine"] = {"name": "openai"}
        content["task"] |= {"scorer": "judge", "scorer_options": {"model": "judge", "url": url, "concurrency": 16}}
        session = Session.load(build_recipe(content))
        for way in (*took, *took):
            vars(hswarm.session.evaluator)["judged_early"] = (
                judged_early if way == "together" else lambda *given: nullcontext(lambda example, answer: None)
            )
            fresh = Session(session.recipe, session.pool, session.task, session.engine)
            spent, made = clock(fresh.evaluator.singles)
            took[way].append(spent)
            found.append(([one.scores.tolist() for one in made], fresh.executor.ledger))
    figures = {
        "recipe": Path(name).name,
        "set": overrides,
        "seconds a reply": seconds,
        "calls": found[0][1].generated,
        "the judge after all answers, s": took["apart"],
        "the judge meanwhile, s": took["together"],
        "share of the time": min(took["together"]) / min(took["apart"]),
        "the same scores and counts": all(one == found[0] for one in found),
    }
    publish("waves_judge", "a judge rates answers while others are given", figures)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--judge", type=float)
    given = parser.parse_args()
    if given.judge:
        judged(given.recipe, given.overrides, given.judge)
        return
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
