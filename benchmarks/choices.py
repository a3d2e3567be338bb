"""Multiple choice by likelihood beside generated answers: time, tokens and score on the same questions.

python benchmarks/choices.py [--questions 40] [--domains sums,sisters,names] [--engine openvino] [--dtype float32]
Experts of the SmolLM2 pool answer questions of their own domains with four options: the right answer and those of
three other questions, in an order drawn at random. Three ways: a reply is written and read (up to 16 tokens), the
likeliest letter, the likeliest option's text a character. Each way on an engine of its own, so that nothing was read.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from measuring import ROOT, publish

from hswarm import Topology
from hswarm.core.stats import bootstrap_interval, paired_test
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.scorers.choice import choice
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks import load_task
from hswarm.tasks.settings import TaskSettings
from hswarm.tasks.task import Example

DATA: dict[str, tuple[str, dict[str, object]]] = {  # as the experts were trained (docs/pool.md)
    "sums": ("chain_sum", {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}),
    "sisters": ("aiw", {}),
    "names": ("needle_haystack", {"min_num_statements": 4, "max_num_statements": 6}),
}
WAYS: dict[str, Sampling] = {
    "written": Sampling(16),
    "by letter": Sampling(16, choose="letter"),
    "by text": Sampling(16, choose="text"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--domains", default=",".join(DATA))
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()
    pool, rng = open_pool(PoolSettings(path=str(ROOT / "experts/smollm2"))), np.random.default_rng(0)
    asked = {domain: questions(domain, given.questions, rng) for domain in given.domains.split(",")}
    figures: dict[str, Any] = {"engine": given.engine, "dtype": given.dtype, "questions a domain": given.questions}
    figures["domains"] = given.domains
    scores: dict[str, list[float]] = {way: [] for way in WAYS}
    for way, sampling in WAYS.items():
        executor = Executor(open_engine(EngineSettings(given.engine, dtype=given.dtype), pool.base))
        run(executor, [System(Topology.chain(1), (pool.experts[0],), base=pool.base, sampling=sampling)], warm())
        seconds, before = 0.0, replace(executor.ledger)
        for domain, examples in asked.items():
            expert = next(one for one in pool.experts if one.name == domain)
            system = System(Topology.chain(1), (expert,), base=pool.base, sampling=sampling)
            began = time.process_time()
            replies = run(executor, [system], examples)
            seconds += time.process_time() - began
            scores[way] += [score.value for score in choice(examples, replies)]
        spent = executor.ledger.completion_tokens - before.completion_tokens
        figures |= {f"{way}: processor seconds": seconds, f"{way}: reply tokens": spent}
        figures[f"{way}: score, 95 %"] = [
            float(np.mean(scores[way])),
            *bootstrap_interval(scores[way], np.random.default_rng(0)),
        ]
    for way in ("by letter", "by text"):
        figures[f"written / {way}: processor seconds"] = (
            figures["written: processor seconds"] / figures[f"{way}: processor seconds"]
        )
        figures[f"{way} less written: score, 95 %"] = list(
            paired_test(scores[way], scores["written"], np.random.default_rng(0))[:3]
        )
    publish("choices", "options by likelihood: less time, no lower score", figures)


def run(executor: Executor, systems: Sequence[System], examples: Sequence[Example]) -> list[str]:
    ((replies,),) = executor.run(systems, examples, f"{len(examples)}")
    return [reply.text for reply in replies]


def warm() -> list[Example]:
    """Two questions that make the engine ready."""
    return [Example(str(i), f"Which of these has {i} letters?", "A", {"A": "one", "B": "two"}) for i in (3, 4)]


def questions(domain: str, count: int, rng: np.random.Generator) -> list[Example]:
    """Questions of a domain with four options each."""
    data, options = DATA[domain]
    settings = TaskSettings(name="reasoning_gym", datasets=(data,), seed=5, dev=count, test=1, options={data: options})
    plain = load_task(settings).dev
    made = []
    for example in plain:
        others = sorted({other.answer for other in plain} - {example.answer})
        texts = [example.answer, *rng.choice(others, 3, replace=False).tolist()]
        order = rng.permutation(4).tolist()
        choices = {"ABCD"[place]: texts[i] for place, i in enumerate(order)}
        made.append(Example(example.id, example.question, "ABCD"[order.index(0)], choices))
    return made


if __name__ == "__main__":
    main()
