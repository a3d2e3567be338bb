"""What a calculator in the pool is worth: growth with it and without it, at an equal budget of calls.

python scripts/word_problems.py; python benchmarks/tools.py [--seeds 2] [--runs FOLDER]     (resumes)

Writes docs/benchmarks/tools.json. The worked examples of recipes/words.toml end in a calculation; a second control has
the same ones with the number. Differences are paired by seed and question, with 95 % bootstrap intervals.
"""

import argparse
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from measuring import ROOT, finished, publish
from studies import interval

from hswarm.config.recipe import read_recipe
from hswarm.runs.directory import Run
from hswarm.session.session import Session
from hswarm.system.cache import Cache
from hswarm.tools.calculator import calculator

WORKED = ("214 + 130", "1405 - 377", "21 * 54")
VARIANTS = ("with calculator", "without", "without, examples with numbers")


def main(seeds: int, folder: Path) -> None:
    runs = {variant: [searched(variant, seed, folder) for seed in range(seeds)] for variant in VARIANTS}
    scores = {variant: np.array([test_scores(run) for run in found]) for variant, found in runs.items()}
    rows = {variant: row(found, scores[variant], scores["with calculator"]) for variant, found in runs.items()}
    publish("tools", "A calculator in the pool, placed by the search, at equal calls", {**rows, "seeds": seeds})


def searched(variant: str, seed: int, folder: Path) -> Run:
    recipe = read_recipe(ROOT / "recipes/words.toml", [f"seed={seed}"])
    pool, prompts = recipe.pool, recipe.prompts
    if variant != "with calculator":
        pool = replace(pool, tools=())
    if variant.endswith("numbers"):
        icl = prompts.icl
        for calculation in WORKED:
            icl = icl.replace(f"\n{calculation}", f"\n{calculator(calculation)}")
        prompts = replace(prompts, icl=icl)
    changed = recipe.model_copy(update={"pool": pool, "prompts": prompts})
    return finished(changed, folder / f"{VARIANTS.index(variant)}-{seed}")


def test_scores(run: Run) -> list[float]:
    """The found system's score of each test question; the run's calls are not made again."""
    session = Session.load(run.recipe)
    with closing(Cache(run.path / "cache.sqlite")) as cache:
        (one,) = replace(session, cache=cache).evaluator.final([run.best])
    return [float(score) for score in one.scores]


def row(runs: list[Run], scores: np.ndarray, best: np.ndarray) -> dict[str, object]:
    reports = [run.report for run in runs]
    return {
        "test": float(scores.mean()),
        "ci": interval(scores),
        "calculator's gain": [float((best - scores).mean()), *interval(best - scores)],
        "best single on test": [str(report.best_single.test) for report in reports],
        "calls": [report.calls.generated for report in reports],
        "found": [f"{' '.join(one.topology.assignment)} {one.topology.edges}" for one in reports],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs/tools"))
    arguments = parser.parse_args()
    main(arguments.seeds, arguments.runs)
