"""A skill is missing from the micro pool: the gaps that name it, and what going on with its expert is worth.

python benchmarks/gaps.py [--seeds 3] [--skill wex] [--runs FOLDER]     (resumes)

Writes docs/benchmarks/gaps.json. recipes/micro-tasks/chain-four.toml without one expert, then with it: going on from
the first search with few calls, from scratch with as many, and from scratch with those of both.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from measuring import ROOT, finished, publish

from hswarm.analysis import analyze
from hswarm.analysis.context import Options
from hswarm.config.recipe import Recipe, read_recipe
from hswarm.runs.directory import Run

FIRST, MORE = 1200, 600  # calls


def main(seeds: int, skill: str, folder: Path) -> None:
    found: dict[str, list[Run]] = {}
    words = []
    for seed in range(seeds):
        whole = read_recipe(
            ROOT / "recipes/micro-tasks/chain-four.toml", [f"seed={seed}", "task.dev=60", "task.test=200"]
        )
        less = replace(whole.pool, experts=tuple(name for name in whole.pool.experts if name != skill))
        first = finished(limited(whole, FIRST, pool=less), folder / f"first-{seed}")
        (gaps,) = analyze(first.path, ["gaps"], Options())
        words.append([f"{one['word']} {one['gaps']}/{len(gaps.numbers['gaps'])}" for one in gaps.numbers["words"]])
        start = replace(whole.search, start=str(first.path.resolve()))
        variants = {
            f"without {skill}, {FIRST} calls": first,
            f"going on with {skill}, {MORE} more": finished(limited(whole, MORE, search=start), folder / f"on-{seed}"),
            f"from scratch, {MORE} calls": finished(limited(whole, MORE), folder / f"few-{seed}"),
            f"from scratch, {FIRST + MORE} calls": finished(limited(whole, FIRST + MORE), folder / f"both-{seed}"),
        }
        for name, run in variants.items():
            found.setdefault(name, []).append(run)
    publish(
        "gaps",
        "An expert added where no system of a search had an answer, and the search gone on with",
        {**{name: row(runs) for name, runs in found.items()}, "words that gaps hold": words, "seeds": seeds},
    )


def limited(recipe: Recipe, calls: int, **sections: object) -> Recipe:
    return recipe.model_copy(update={"budget": replace(recipe.budget, calls=calls), **sections})


def row(runs: list[Run]) -> dict[str, object]:
    tests = [run.report.test.score for run in runs if run.report.test]
    return {
        "test": float(np.mean([score for score in tests if score is not None])),
        "by seed": tests,
        "calls": [run.report.calls.generated for run in runs],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--skill", default="wex")
    parser.add_argument("--runs", type=Path, default=Path("runs/gaps"))
    arguments = parser.parse_args()
    main(arguments.seeds, arguments.skill, arguments.runs)
