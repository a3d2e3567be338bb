"""Claim: each expert of everyday steps learned its step, and no expert alone solves a chain.

    python benchmarks/steps_table.py [--questions 200] [--recipes recipes/steps-tasks/chain-*.toml]

Half an hour on two cores; interrupted, it goes on where it was (calls are kept in build/steps-table.sqlite). Writes
docs/benchmarks/steps_table.json and the tables in docs/steps-pool.md.

Greedy, strict exact match, lists that occur in no lesson. Rivals: the base without an expert, on the same questions,
and always giving the commonest answer. Then, for chains, each expert of their steps alone.
"""

import argparse
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measuring import ROOT, fill, publish
from pool_table import cell

from hswarm.config.recipe import read_recipe
from hswarm.core.stats import paired_test
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.experts.adapter import Adapter
from hswarm.experts.expert import Expert
from hswarm.experts.pool import ExpertPool, PoolSettings, open_pool
from hswarm.prompts import Prompts
from hswarm.scorers.exact import exact
from hswarm.system.cache import Cache
from hswarm.system.executor import Executor
from hswarm.tasks.steps import WORLD
from hswarm.tasks.task import Example

CLAIM = "each expert of everyday steps learned its step, and none solves a chain alone"
SEED, MAX_NEW_TOKENS = 5, 24
MARK = "<!-- table: benchmarks/steps_table.py -->"


class Learned(NamedTuple):
    """An expert's score on its own step, those of base and commonest answer, and the paired gain over the base."""

    expert: dict[str, float]
    base: dict[str, float]
    commonest: float
    gain: tuple[float, float, float]


def scored(executor: Executor, expert: Expert, asked: tuple[Example, ...]) -> list[float]:
    """One score a question, the expert asked alone."""
    calls = [Request(expert, Prompts().render(example), Sampling(MAX_NEW_TOKENS)) for example in asked]
    replies = [reply.text for reply in executor.answer(calls, expert.name)]
    return [score.value for score in exact(asked, replies)]


def own(executor: Executor, pool: ExpertPool, base: Expert, count: int) -> dict[str, Learned]:
    """Each expert on its own step, the base on the same questions, and the commonest answer."""
    found: dict[str, Learned] = {}
    for expert in pool.experts:
        asked = WORLD.generate([expert.name], count, SEED)
        after, before = scored(executor, expert, asked), scored(executor, base, asked)
        gain = paired_test(after, before, np.random.default_rng(SEED))
        commonest = Counter(example.answer for example in asked).most_common(1)[0][1] / count
        apart = (gain.difference, gain.low, gain.high)
        found[expert.name] = Learned(cell(after), cell(before), commonest, apart)
        print(expert.name, found[expert.name], flush=True)
    return found


def chains(executor: Executor, pool: ExpertPool, recipes: list[Path], count: int) -> dict[str, dict[str, float]]:
    """Scores of the experts of a chain's steps, each alone on questions of the chain."""
    named, found = {expert.name: expert for expert in pool.experts}, {}
    for path in recipes:
        recipe = read_recipe(path)
        (chain,) = recipe.task.datasets
        asked = WORLD.generate([chain], count, SEED)
        found[chain] = {
            name: float(np.mean(scored(executor, named[name], asked))) for name in chain.split("+") if name in named
        }
        print(chain, found[chain], flush=True)
    return found


def rows(steps: dict[str, Learned], alone: dict[str, dict[str, float]]) -> list[str]:
    """The two tables of docs/steps-pool.md."""
    lines = ["| expert | own step | base | commonest answer | expert less base |", "|---|---|---|---|---|"]
    for name, row in steps.items():
        mine, (gain, low, high) = row.expert, row.gain
        lines.append(
            f"| {name} | {mine['score']:.3f} ({mine['low']:.3f}-{mine['high']:.3f}) | {row.base['score']:.3f} | "
            f"{row.commonest:.3f} | {gain:+.3f} [{low:+.3f}, {high:+.3f}] |"
        )
    lines += ["", "| chain | the experts of its steps, each alone |", "|---|---|"]
    for chain, scores in alone.items():
        lines.append(f"| {chain} | {', '.join(f'{name} {score:.3f}' for name, score in scores.items())} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=200, help="of each step and chain")
    parser.add_argument("--pool", type=Path, default=ROOT / "experts/steps")
    found = sorted((ROOT / "recipes/steps-tasks").glob("chain-*.toml"))
    parser.add_argument("--recipes", type=Path, nargs="*", default=found, help="of the chains")
    given = parser.parse_args()
    pool = open_pool(PoolSettings(path=str(given.pool)))
    some = pool.experts[0]
    assert isinstance(some, Adapter)
    base = Adapter.from_vector("base", np.zeros_like(some.vector), some.form, some.base)
    with closing(Cache(ROOT / "build/steps-table.sqlite")) as calls:
        executor = Executor(open_engine(EngineSettings("auto"), pool.base), calls)
        steps = own(executor, pool, base, given.questions)
        alone = chains(executor, pool, given.recipes, given.questions)
    figures = {
        "questions": given.questions,
        "seed": SEED,
        "engine": executor.engine.fingerprint,
        "digests": {expert.name: expert.digest for expert in pool.experts},
        "steps": {name: row._asdict() for name, row in steps.items()},
        "chains": alone,
    }
    publish("steps_table", CLAIM, figures)
    fill(ROOT / "docs/steps-pool.md", MARK, "\n".join(rows(steps, alone)))


if __name__ == "__main__":
    main()
