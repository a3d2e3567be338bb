"""Calls that an early end saves, beside the same search without: exact (the same path) and racing (an approximation).

python benchmarks/early_end.py [RECIPE] [--seeds 3] [--set KEY=VALUE] [--name early_end]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from measuring import ROOT, publish

from hswarm.config.recipe import read_recipe
from hswarm.experiments.search import search


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", nargs="?", default=str(ROOT / "recipes/toy.toml"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--name", default="early_end", help="of the JSON file in docs/benchmarks")
    given = parser.parse_args()
    found = {}
    for mode in ("off", "exact", "racing"):
        with tempfile.TemporaryDirectory() as folder:
            runs = [
                search(
                    read_recipe(given.recipe, [*given.overrides, f"seed={seed}", f"search.early_end={mode}"]),
                    Path(folder) / str(seed),
                )
                for seed in range(given.seeds)
            ]
            found[mode] = [run.report for run in runs]
    requested = {mode: sum(report["calls"]["requested"] for report in reports) for mode, reports in found.items()}
    same = [[report["dev"]["score"] for report in found[mode]] for mode in ("off", "exact")]
    publish(
        given.name,
        "an early end leaves out calls and, if exact, changes nothing",
        {
            "recipe": Path(given.recipe).name,
            "set": given.overrides,
            "seeds": given.seeds,
            "calls without": requested["off"],
            "exact, share left out": 1 - requested["exact"] / requested["off"],
            "exact, same dev scores": same[0] == same[1],
            "racing, share left out": 1 - requested["racing"] / requested["off"],
            "dev score, mean": {
                m: float(np.mean([r["dev"]["score"] for r in reports])) for m, reports in found.items()
            },
        },
    )


if __name__ == "__main__":
    main()
