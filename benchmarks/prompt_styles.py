"""Scores under the three prompt styles: all nodes read the same (terse), by place (place), a part each (divide).

python benchmarks/prompt_styles.py RECIPE [--systems 6] [--nodes 4] [--questions 30] [--tokens 14] [--seeds 3]
    [--engine auto] [--set FIELD=VALUE]
The same random graphs and assignments under every style; the mean score of the sinks, its 95 % interval (bootstrap over
questions) and the paired difference to terse.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from measuring import publish

from hswarm.config.recipe import read_recipe
from hswarm.core.decode import g_decode
from hswarm.core.stats import bootstrap_interval
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.experts.pool import open_pool
from hswarm.scorers import task_scorer
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks import load_task

STYLES = ("terse", "place", "divide")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    for name, default in (("systems", 6), ("nodes", 4), ("questions", 30), ("tokens", 14), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    given = parser.parse_args()
    recipe = read_recipe(given.recipe, given.set)
    pool, task = open_pool(recipe.pool), load_task(recipe.task)
    examples, score = task.dev[: given.questions], task_scorer(task)
    engine = open_engine(EngineSettings(given.engine), pool.base)
    figures: dict[str, object] = {"systems": given.systems * given.seeds, "questions": len(examples)}
    drawn = []
    for seed in range(given.seeds):
        rng = np.random.default_rng(seed)
        for _ in range(given.systems):
            chosen = rng.choice(len(pool.experts), min(given.nodes, len(pool.experts)), replace=False)
            topology = g_decode(rng.uniform(size=(len(chosen),) * 2), rng)
            drawn.append((topology, tuple(pool.experts[i] for i in chosen)))
    by_style = {}
    for style in STYLES:
        prompts = replace(recipe.prompts, style=style)
        systems = [System(t, e, prompts, pool.base, sampling=Sampling(given.tokens)) for t, e in drawn]
        transcripts = Executor(engine).run(systems, examples, "bench")
        sinks = [[r.text for r in nodes[s.topology.sink]] for s, nodes in zip(systems, transcripts, strict=True)]
        scores = np.array([[s.value for s in score(examples, texts)] for texts in sinks]).mean(axis=0)
        by_style[style] = scores
        figures[f"{style}: score, mean"] = float(scores.mean())
        figures[f"{style}: 95 % interval"] = list(bootstrap_interval(scores, np.random.default_rng(0)))
        if style != "terse":
            difference = scores - by_style["terse"]
            figures[f"{style} less terse"] = float(difference.mean())
            figures[f"{style} less terse: 95 % interval"] = list(
                bootstrap_interval(difference, np.random.default_rng(0))
            )
    publish(f"prompt_styles_{recipe.name}", "scores of the three prompt styles on the same systems", figures)


if __name__ == "__main__":
    main()
