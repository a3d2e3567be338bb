"""Scores under the three prompt styles: all nodes read the same (terse), by place (place), a part each (divide).

python benchmarks/prompt_styles.py RECIPE [--systems 6] [--nodes 4] [--questions 30] [--tokens 14] [--seeds 3]
    [--engine auto] [--styles terse,place,divide] [--inner 0] [--set FIELD=VALUE]
The same random graphs and assignments under every style; the mean score of the sinks, its 95 % interval (bootstrap over
questions) and the paired difference to the first. `--inner 14,28` gives the nodes before the sink replies of so many
tokens (0: as many as the sink), each number under every style.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from itertools import product

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

STYLES = "terse,place,divide"


@dataclass(frozen=True, eq=False)
class Roomy(System):
    """A system whose nodes before the sink may reply with `inner` tokens."""

    inner: int = 0

    def sampling_at(self, node: int) -> Sampling:
        own = super().sampling_at(node)
        return replace(own, max_new_tokens=self.inner) if self.inner and node != self.topology.sink else own


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    for name, default in (("systems", 6), ("nodes", 4), ("questions", 30), ("tokens", 14), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--styles", default=STYLES)
    parser.add_argument("--inner", default="0")
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
    first = None
    for style, inner in product(given.styles.split(","), map(int, given.inner.split(","))):
        name = f"{style}, {inner} tokens before the sink" if inner else style
        prompts = replace(recipe.prompts, style=style)
        systems = [Roomy(t, e, prompts, pool.base, sampling=Sampling(given.tokens), inner=inner) for t, e in drawn]
        executor = Executor(engine)
        transcripts = executor.run(systems, examples, "bench")
        sinks = [[r.text for r in nodes[s.topology.sink]] for s, nodes in zip(systems, transcripts, strict=True)]
        scores = np.array([[s.value for s in score(examples, texts)] for texts in sinks]).mean(axis=0)
        first = scores if first is None else first
        figures[f"{name}: score, mean"] = float(scores.mean())
        figures[f"{name}: 95 % interval"] = list(bootstrap_interval(scores, np.random.default_rng(0)))
        figures[f"{name}: reply tokens a call"] = executor.ledger.completion_tokens / executor.ledger.generated
        if scores is not first:
            gap = scores - first
            figures[f"{name} less the first"] = float(gap.mean())
            figures[f"{name} less the first: 95 % interval"] = list(bootstrap_interval(gap, np.random.default_rng(0)))
    kind = "reply_lengths" if given.inner != "0" else "prompt_styles"
    publish(f"{kind}_{recipe.name}", "scores of the three prompt styles on the same systems", figures)


if __name__ == "__main__":
    main()
