"""Claim: where questions differ, a route among the systems of a run gives the score of the one found for fewer calls.

    python benchmarks/routes.py both plain-three chain-three chain-four micro [--seeds 1] [--runs runs/routes]

Each task of recipes/micro-tasks (micro: recipes/micro.toml at 5,000 calls) is searched by growth, then routed at the
default price. Printed and kept as docs/benchmarks/routes.json: dev (of the route cross-validated), test and calls an
answer of the route, of the best system of at most as many calls, of the system found, of a vote of the systems that the
route chooses among, and the difference of the first to the third on test with its paired 95 % interval. The picture of
the last run is docs/route.svg with --picture.
"""

import argparse
import shutil
from pathlib import Path

from measuring import ROOT, finished, publish

from hswarm.config.recipe import Recipe, read_recipe
from hswarm.errors import RunError
from hswarm.experiments.route import route
from hswarm.runs.progress import Progress

WHAT = ("route", "best at no more calls", "found", "vote of all")


def recipe_of(task: str, seed: int) -> Recipe:
    if task == "micro":
        return read_recipe(ROOT / "recipes/micro.toml", [f"seed={seed}", "budget.calls=5000"])
    return read_recipe(ROOT / f"recipes/micro-tasks/{task}.toml", [f"seed={seed}"])


def row(task: str, seed: int, runs: Path) -> dict[str, object]:
    run = finished(recipe_of(task, seed), runs / f"{task}-{seed}")
    told: dict[str, object] = {"task": task, "seed": seed, "search calls": run.report.calls.generated}
    try:
        report = route(run, 4, 0.01, run.path / "routed", Progress())
    except RunError as fault:
        told["refused"] = str(fault)
        print(told, flush=True)
        return told
    for name, one in zip(WHAT, report.rows[:4], strict=True):
        assert one.test
        told[name] = {"dev": round(one.dev, 3), "test": one.test.score, "calls": round(one.calls, 2)}
    assert report.over_found
    told["route less found"] = [report.over_found.difference, *report.over_found.ci]
    told["front"] = [[round(at.calls, 2), round(at.score, 3)] for at in report.front]
    print(told, flush=True)
    return told


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/routes")
    parser.add_argument("--picture", action="store_true")
    given = parser.parse_args()
    rows = [row(task, seed, given.runs) for task in given.tasks for seed in range(given.seeds)]
    publish("routes", "a route gives the score of the system found for fewer calls", {"rows": rows})
    if given.picture:
        last = f"{given.tasks[-1]}-{given.seeds - 1}"
        shutil.copy(given.runs / last / "routed/route.svg", ROOT / "docs/route.svg")
