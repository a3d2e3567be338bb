"""Claim: the found system scores above the best single expert, and near the best system known.

python benchmarks/search_quality.py [RECIPE] [--seeds 5] [--set A.B=C] [--runs FOLDER]      (resumes)

The best system known: the best on dev of all systems found over the seeds, and of the chains of two to four experts in
every order, of those that the task's data sets name or, without names, of the four best alone. Paired over test
questions, each averaged over seeds; regret is the best known's score less the found one's.
"""

import argparse
from contextlib import closing
from itertools import permutations
from pathlib import Path

import numpy as np
from measuring import ROOT, publish

from hswarm.config.recipe import read_recipe
from hswarm.core.stats import bootstrap_interval, paired_test
from hswarm.core.topology import Topology
from hswarm.experiments.search import resume, search
from hswarm.runs.directory import Run
from hswarm.session.evaluator import Evaluator
from hswarm.session.session import Session
from hswarm.system.cache import Cache
from hswarm.system.executor import Executor


def finished(recipe, folder):
    """The run of `recipe` at `folder`, brought to its end."""
    if not folder.exists():
        return search(recipe, folder)
    return run if (run := Run.open(folder)).finished else resume(folder)


def chains(evaluator, singles):
    """Chains of two to four experts in every order: see the head of this file."""
    named = {skill for name in evaluator.recipe.task.datasets for skill in name.split("+")}
    experts = [e for e in evaluator.pool.experts if e.name in named]
    if len(experts) < 2:
        best = sorted(singles, key=singles.get, reverse=True)[:4]
        experts = [e for e in evaluator.pool.experts if e.name in best]
    orders = [order for length in range(2, min(4, len(experts)) + 1) for order in permutations(experts, length)]
    return [evaluator.system(Topology.chain(len(order)), order) for order in orders]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", nargs="?", default=str(ROOT / "recipes/micro.toml"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/search-quality")
    given = parser.parse_args()
    recipes = [read_recipe(given.recipe, [*given.overrides, f"seed={seed}"]) for seed in range(given.seeds)]
    runs = [finished(recipe, given.runs / recipe.name / str(recipe.seed)) for recipe in recipes]
    parts, reports = Session.load(recipes[0]), [run.report for run in runs]
    with closing(Cache(given.runs / recipes[0].name / "known.sqlite")) as cache:
        evaluator = Evaluator(parts.task, recipes[0], parts.pool, Executor(parts.engine, cache))
        found = [run.best for run in runs]
        known = chains(evaluator, reports[0]["singles"]) if recipes[0].search.nodes != 1 else []
        seen = evaluator.evaluate([*found, *known], "known")
        best = max(seen, key=lambda evaluation: evaluation.utility)
        single = next(e for e in parts.pool.experts if e.name == reports[0]["best_single"]["expert"])
        scores = [e.scores for e in evaluator.final([evaluator.alone(single), best.system, *found])]
    rng, mean = np.random.default_rng(0), np.mean(scores[2:], axis=0)
    gain, regret = paired_test(mean, scores[0], rng), paired_test(scores[1], mean, rng)
    publish(
        "search_quality_" + recipes[0].name.replace("-", "_"),
        "found beats the best single expert",
        {
            "recipe": Path(given.recipe).name,
            "set": given.overrides,
            "seeds": given.seeds,
            "engine": parts.engine.fingerprint,
            "dev": len(evaluator.dev),
            "test": len(mean),
            "best single expert": {"expert": single.name, "test": float(scores[0].mean())},
            "found, test": {
                "mean": float(mean.mean()),
                "ci": list(bootstrap_interval(mean, rng)),
                "seeds": [float(s.mean()) for s in scores[2:]],
            },
            "first graphs' best, test": [report["start"]["test"]["score"] for report in reports],
            "found - best single": {"difference": gain.difference, "ci": [gain.low, gain.high], "p": gain.p_value},
            "best known": {
                "assignment": best.system.assignment,
                "edges": sorted(best.system.topology.edges),
                "dev": best.utility,
                "test": float(scores[1].mean()),
            },
            "regret": {"difference": regret.difference, "ci": [regret.low, regret.high]},
            "iterations": [report["iterations"] for report in reports],
            "found at": [r["found_at"] for r in reports],
            "seconds": [report["wall_s"] for report in reports],
            "calls": [[report["calls"]["requested"], report["calls"]["generated"]] for report in reports],
        },
    )


if __name__ == "__main__":
    main()
