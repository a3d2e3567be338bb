"""An engine whose calls take a known time and no cores, and the paper's shape of a search on it."""

import hashlib
import time
from collections.abc import Sequence

import numpy as np

from hswarm.config.recipe import Recipe, build_recipe
from hswarm.engines.base import Completion, Engine, EngineSettings, Request, group_batches
from hswarm.engines.parallel import EngineWorker
from hswarm.engines.toy import ToyEngine, toy_pool
from hswarm.methods.hswarm import Search
from hswarm.session.evaluator import Evaluator
from hswarm.system.executor import Executor, Ledger
from hswarm.tasks import load_task


class Sleeping(ToyEngine):
    """Sleeps `seconds` a call; a batch holds one expert, as real engines' do. No two prompts get one reply."""

    def __init__(self, seconds: float, batch: int) -> None:
        super().__init__(EngineSettings("toy", batch=batch))
        self._seconds, self._size = seconds, batch

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        return group_batches(requests, self._size, lambda request: request.prompt)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        time.sleep(self._seconds * len(requests))
        return [reply(request) for request in requests]


def reply(request: Request) -> Completion:
    text = hashlib.sha256((request.expert.digest + request.prompt).encode()).hexdigest()[:32]
    return Completion(text, "stop", len(request.prompt) // 4, 50)


def open_sleeping(seconds: float, batch: int) -> EngineWorker:
    return EngineWorker(Sleeping(seconds, batch))


def paper_shape(dev: int, experts: int = 10, iterations: int = 1, batch: int = 32) -> Recipe:
    """The paper's N = M = n = 10, an adjacency swarm and a weight swarm, on `dev` questions."""
    return build_recipe(
        {
            "preset": "paper",
            "task": {"name": "toy", "dev": dev, "test": 0, "options": {"toy": {"steps": experts}}},
            "engine": {"name": "toy", "batch": batch},
            "search": {"nodes": experts, "iterations": iterations},
        }
    )


def searched(recipe: Recipe, engine: Engine) -> tuple[float, Ledger]:
    """(seconds, ledger) of the recipe's search on `engine`."""
    pool = toy_pool(recipe.search.nodes or 10)
    evaluator = Evaluator(load_task(recipe.task), recipe, pool, Executor(engine, settings=recipe.engine))
    began = time.monotonic()
    Search(pool, evaluator, np.random.default_rng(recipe.seed)).go()
    return time.monotonic() - began, evaluator.budget.ledger
