"""int8 weights beside float32 and bfloat16: speed, equal replies and scores of engine openvino on the SmolLM2 pool.

python benchmarks/int8.py [--questions 24]
Experts answer questions of their own domains; all answer the same ones twice and keep nothing. bfloat16 is slow where
the processor does not multiply in it.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from choices import DATA
from measuring import ROOT, publish

from hswarm.core.stats import paired_test
from hswarm.engines.base import Dtype, EngineSettings, Request, Sampling
from hswarm.engines.openvino import OpenVINOEngine
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.prompts import Prompts
from hswarm.scorers import task_scorer
from hswarm.tasks import load_task
from hswarm.tasks.settings import TaskSettings


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=24)
    given = parser.parse_args()
    pool = open_pool(PoolSettings(path=str(ROOT / "experts/smollm2")))
    settings = EngineSettings("openvino", dtype="float32", prefix_cache="batch")
    tasks = {
        name: load_task(
            TaskSettings(
                name="reasoning_gym", datasets=(data,), options={data: options}, seed=5, dev=given.questions, test=1
            )
        )
        for name, (data, options) in DATA.items()
    }
    flags = Path("/proc/cpuinfo").read_text()
    figures: dict[str, Any] = {"questions": 3 * given.questions, "VNNI": "vnni" in flags, "bfloat16": "bf16" in flags}
    names: tuple[Dtype, ...] = ("float32", "bfloat16", "int8")
    texts: dict[str, list[str]] = {}
    scores: dict[str, list[float]] = {}
    for name in names:
        engine = OpenVINOEngine(replace(settings, dtype=name), pool.base)
        texts[name], scores[name], seconds, tokens = [], [], [], 0
        for _ in range(2):  # the first opens the model
            texts[name].clear()
            scores[name].clear()
            before = engine.tokens_computed
            began = time.process_time()
            for expert in pool.experts:
                if task := tasks.get(expert.name):
                    asked = [Request(expert, Prompts().render(e), Sampling(16)) for e in task.dev]
                    replies = [made.text for made in engine.generate(asked)]
                    texts[name] += replies
                    scores[name] += [score.value for score in task_scorer(task)(task.dev, replies)]
            seconds.append(time.process_time() - began)
            tokens = engine.tokens_computed - before
        figures[f"{name}: tokens a processor second"] = tokens / seconds[-1]
        figures[f"{name}: score"] = float(np.mean(scores[name]))
    figures["int8 / float32"] = (
        figures["int8: tokens a processor second"] / figures["float32: tokens a processor second"]
    )
    figures["equal replies"] = float(np.mean([a == b for a, b in zip(texts["int8"], texts["float32"], strict=True)]))
    gap = paired_test(scores["int8"], scores["float32"], np.random.default_rng(0))
    figures["int8 less float32: score, 95 %"] = list(gap[:3])
    publish("int8", "int8 weights at least 1.5 times as fast as float32, no lower score", figures)


if __name__ == "__main__":
    main()
