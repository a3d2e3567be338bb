"""Tokens really computed under the two prompt layouts: a prefix cache computes what prompts begin with alike only once.

python benchmarks/prompt_layout.py RECIPE [--systems 10] [--nodes 4] [--questions 17] [--tokens 8] [--engine auto]
Counts a step's distinct prompts by expert: all tokens, and those outside of blocks of 32 (as vLLM has them; the engine
openvino shares to the token) that an earlier prompt of the same batch (prefix_cache = "batch") or of the same expert
(prefix_cache = "run") has filled. Scores of both layouts beside.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from measuring import publish

from hswarm.config.recipe import read_recipe
from hswarm.core.decode import g_decode
from hswarm.engines import open_engine
from hswarm.engines.base import Completion, Engine, EngineSettings, Request, Sampling
from hswarm.engines.chat import Chat
from hswarm.experts.base import find_base
from hswarm.experts.expert import Expert
from hswarm.experts.pool import open_pool
from hswarm.scorers import task_scorer
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks import load_task

BLOCK = 32


class Watching:
    """An engine that notes each batch as it is answered."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.fingerprint = engine, engine.fingerprint
        self.made: list[list[Request]] = []

    def check(self, experts: Sequence[Expert]) -> None:
        self.engine.check(experts)

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        return self.engine.batches(requests)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.made.append(list(requests))
        return self.engine.generate(requests)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    for name, default in (("systems", 10), ("nodes", 4), ("questions", 17), ("tokens", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--engine", default="auto")
    given = parser.parse_args()
    recipe, rng = read_recipe(given.recipe), np.random.default_rng(0)
    pool, task = open_pool(recipe.pool), load_task(recipe.task)
    examples, chat = task.dev[: given.questions], Chat(find_base(pool.base), pool.base)
    topologies = [g_decode(rng.uniform(size=(given.nodes,) * 2), rng) for _ in range(given.systems)]
    engine = open_engine(EngineSettings(given.engine), pool.base)
    figures: dict[str, float] = {"systems": given.systems, "nodes": given.nodes, "questions": len(examples)}
    for layout in ("paper", "question-first"):
        watching, prompts = Watching(engine), replace(recipe.prompts, layout=layout)
        systems = [
            System(t, tuple(pool.experts[: given.nodes]), prompts, pool.base, sampling=Sampling(given.tokens))
            for t in topologies
        ]
        transcripts = Executor(watching).run(systems, examples, "bench")
        answers = [
            [reply.text for reply in nodes[s.topology.sink]] for s, nodes in zip(systems, transcripts, strict=True)
        ]
        score = task_scorer(task)
        figures[f"{layout}: score, mean"] = float(
            np.mean([s.value for texts in answers for s in score(examples, texts)])
        )
        batches = [(b[0].expert.digest, chat.encode([request.prompt for request in b])) for b in watching.made]
        figures[f"{layout}: prompt tokens"] = sum(len(prompt) for _, b in batches for prompt in b)
        figures[f"{layout}: computed, cache of a batch"] = sum(computed(b, set()) for _, b in batches)
        caches: dict[str, set[tuple[int, ...]]] = {digest: set() for digest, _ in batches}
        figures[f"{layout}: computed, cache of a run"] = sum(computed(b, caches[digest]) for digest, b in batches)
    publish("prompt_layout", "fewer tokens are computed with the question first", figures)


def computed(prompts: Sequence[Sequence[int]], filled: set[tuple[int, ...]]) -> int:
    """Tokens outside of `filled` blocks; fills those of `prompts`."""
    count = 0
    for prompt in prompts:
        beginnings = [tuple(prompt[:end]) for end in range(BLOCK, len(prompt) + 1, BLOCK)]
        count += len(prompt) - BLOCK * sum(beginning in filled for beginning in beginnings)
        filled.update(beginnings)
    return count


if __name__ == "__main__":
    main()
