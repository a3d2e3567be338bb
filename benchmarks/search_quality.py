"""Claim: growth finds better systems than the swarm, the rivals and random search, at equal distinct calls.

    python benchmarks/search_quality.py micro-tasks micro-20000 [--seeds 5] [--methods growth,hswarm,random_search]
    python benchmarks/search_quality.py micro-tasks --methods growth,growth:racing=false,growth:free=false
    python benchmarks/search_quality.py micro-20000 --picture docs/search.svg
    python benchmarks/search_quality.py micro-20000 --methods growth --rivals docs/benchmarks
    python benchmarks/search_quality.py micro-20000 --jobs 16 --set engine.name=transformers --set engine.device=cuda

A cell is one method on one task with one seed. It is kept under --runs when it is done, and not made twice; cells of a
world share the calls that they make, and each counts them as its own. Methods take settings after a colon.

Printed and kept as docs/benchmarks/search_quality_WORLD.json: test scores, mean rank over the tasks, the paired
difference of the first method to each other with its 95 % interval (seeds and questions drawn again), dev less test,
and the anytime curve: the test score of the best system so far against calls.

With --rivals FOLDER the rows of other methods come from the file of that name there; seeds alone are drawn again then.

Worlds: those below. Settings of growth were chosen on the worlds "tuning" and "tuning-wide" alone, whose experts and
questions no other world has in these combinations.
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROOT, clock, interval, publish, ranks

from hswarm import io
from hswarm.config.recipe import Recipe, read_recipe
from hswarm.methods import get_method, run_method
from hswarm.plots.charts import curve_svg
from hswarm.session.checkpoint import Checkpointer
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.session.session import Session
from hswarm.system.cache import Cache
from hswarm.system.system import System

MICRO = [
    f"micro-tasks/{name}" for name in ("both", "chain-four", "chain-three", "chain-two", "plain-three", "plain-two")
]
SMOLLM2 = [f"smollm2-tasks/{name}" for name in ("family-logic", "spelling-letters", "sums-sisters")]
TUNING = ("yam+gul+nix+vop", "ras+yam+gul", "qib+vop+nix", "gul+ras+vop+yam", "nix+qib+yam", "vop+yam+qib+ras")
OTHERS = 'pool.experts=["yam","gul","nix","vop","ras","qib"]'


def chain(skills: str, *changes: str) -> tuple[str, ...]:
    """chain-four with another chain of the micro pool."""
    return ("micro-tasks/chain-four", f'task.datasets=["{skills}"]', f'name="{skills.replace("+", "-")}"', *changes)


def wide(skills: str) -> tuple[str, ...]:
    """recipes/micro.toml with another chain, 5,000 calls."""
    name = f'name="wide-{skills.replace("+", "-")}"'
    return ("micro", f'task.datasets=["{skills}"]', name, "task.seed=7", "budget.calls=5000", "task.test=400")


WORLDS: dict[str, Sequence[str | tuple[str, ...]]] = {
    "tuning": [chain(skills, OTHERS, "task.seed=7") for skills in TUNING],
    "tuning-wide": [
        wide(skills) for skills in ("yam+gul+nix+vop", "gul+ras+vop+yam", "qib+vop+nix", "vop+yam+qib+ras")
    ],
    "micro-tasks": MICRO,
    "micro-5000": [("micro", "budget.calls=5000")],
    "micro-20000": [("micro", "budget.calls=20000")],
    "micro-60000": [("micro", "budget.calls=60000")],
    "smollm2": [(name, "budget.calls=1200", "task.dev=40", "task.test=200") for name in SMOLLM2],
    "other-chains": [
        chain("wex+qib+zor", 'pool.experts=["wex","qib","zor","ras","lun","gul"]'),
        chain("nix+tav+gul+yam", 'pool.experts=["nix","tav","gul","yam","wex","zor"]'),
    ],
    "toy": [("toy", f"search.nodes={n}", "budget.calls=3000", f"options={n}", f'name="toy-{n}"') for n in (6, 10)],
}
CURVE = 200  # test questions that the anytime curve is drawn from


Result = dict[str, Any]
Results = dict[str, dict[str, list[Result]]]  # by task and method


class Watch(Checkpointer):
    """Notes each new best system and the calls made until then."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator, self._own = evaluator, False
        self.curve: list[tuple[int, System]] = []

    def kept(self, form: object) -> None:
        self._own = True

    def keep(self, entry: object, tensors: object, state: object, best: System) -> None:
        self._note(best)

    def scored(self, evaluations: Sequence[Evaluation], whole: bool) -> None:
        best = self._evaluator.archive.best
        if best is not None and not self._own:
            self._note(best.system)

    def _note(self, system: System) -> None:
        if not self.curve or describe(self.curve[-1][1]) != describe(system):
            self.curve.append((self._evaluator.budget.ledger.generated, system))


def describe(system: System) -> tuple[list[str], list[tuple[int, int]]]:
    return [node.digest for node in system.nodes], sorted(system.topology.edges)


def recipes(world: str, more: Sequence[str] = ()) -> Iterator[Recipe]:
    """The recipes of a world, with `more` changes to each."""
    for entry in WORLDS[world]:
        name, *changes = [entry] if isinstance(entry, str) else entry
        steps = [change.removeprefix("options=") for change in changes if change.startswith("options=")]
        changes = [change for change in changes if not change.startswith("options=")]
        changes += [f"task.options.toy.steps={n}" for n in steps]
        yield read_recipe(ROOT / f"recipes/{name}.toml", [*changes, *more])


def alone(world: str, place: int, method: str, seed: int, given: argparse.Namespace) -> None:
    """One cell, in a process of its own."""
    recipe = list(recipes(world, given.set))[place]
    with Session.open(recipe) as session:
        made(session, method, seed, given.runs / world, f"-{os.getpid()}")


def side_by_side(worlds: Sequence[str], methods: Sequence[str], given: argparse.Namespace) -> None:
    """All cells that are missing, in `given.jobs` processes."""
    with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("spawn")) as processes:
        cells = [
            processes.submit(alone, world, place, method, seed, given)
            for world in worlds
            for method in methods
            for seed in range(given.seeds)
            for place in range(len(WORLDS[world]))
        ]
        for cell in cells:
            cell.result()


def made(session: Session, method: str, seed: int, folder: Path, own: str = "") -> Result:
    """The cell's result, from its file if it is there. Calls are shared with cells of the same task (and `own`)."""
    recipe = session.recipe.model_copy(update={"seed": seed})
    path = folder / recipe.name / method.replace(":", "-") / f"{seed}.json"
    if path.is_file():
        known: Result = io.read_json(path, "a cell")
        return known
    name, _, options = method.partition(":")
    settings = {key: json.loads(value) for key, value in (o.split("=") for o in options.split(";") if o)}
    with closing(Cache(folder / f"{recipe.name}{own}.sqlite")) as shared, closing(Cache()) as cache:
        evaluator = replace(session, recipe=recipe, cache=cache, elsewhere=shared).evaluator
        evaluator.checkpointer = watch = Watch(evaluator)
        made_by = get_method(name, settings or recipe.methods.get(name))
        seconds, found = clock(lambda: run_method(made_by, session.pool, evaluator, np.random.default_rng(seed)))
        calls, dev = evaluator.budget.ledger.generated, evaluator.seen(found).utility
        curve = [point for point in watch.curve if point[0] <= calls] or [(calls, found)]
        (test,) = evaluator.final([found])
        few = evaluator._score([system for _, system in curve], session.task.test[:CURVE], "curve")
        result = {
            "test": test.scores.tolist(),
            "dev": dev,
            "calls": calls,
            "size": found.calls,
            "seconds": round(seconds, 1),
            "engine": session.engine.fingerprint,
            "curve": [(at, float(e.scores.mean())) for (at, _), e in zip(curve, few, strict=True)],
            "assignment": found.assignment,
            "edges": sorted(found.topology.edges),
        }
    io.write_text(path, json.dumps(result) + "\n")
    print(
        f"{recipe.name} {method} {seed}: test {np.mean(result['test']):.3f}, dev {dev:.3f}, {calls} calls", flush=True
    )
    return result


def table(results: Results, methods: Sequence[str]) -> dict[str, dict[str, object]]:
    """By method: mean test score and interval, mean rank over tasks, scores by task, the first's gain over it."""
    rng, tasks = np.random.default_rng(0), list(results)
    rows: dict[str, dict[str, object]] = {}
    scores = {m: [np.array([cell["test"] for cell in results[t][m]]) for t in tasks] for m in methods}
    means = np.array([[task.mean() for task in scores[m]] for m in methods])
    places = ranks(means)
    for i, m in enumerate(methods):
        cells = [cell for t in tasks for cell in results[t][m]]
        rows[m] = {
            "test": float(means[i].mean()),
            "ci": interval(scores[m], rng),
            "mean rank": places[i],
            "tasks": {t: round(float(means[i][k]), 3) for k, t in enumerate(tasks)},
            "seeds": {t: [round(float(np.mean(c["test"])), 3) for c in results[t][m]] for t in tasks},
            "dev - test": float(np.mean([cell["dev"] - np.mean(cell["test"]) for cell in cells])),
            "calls": float(np.mean([cell["calls"] for cell in cells])),
            "size": float(np.mean([cell["size"] for cell in cells])),
            "seconds": float(np.mean([cell["seconds"] for cell in cells])),
            "engines": sorted({cell["engine"] for cell in cells}),
        }
        if i:
            gaps = [ours - theirs for ours, theirs in zip(scores[methods[0]], scores[m], strict=True)]
            rows[m]["first less this"] = {"difference": float((means[0] - means[i]).mean()), "ci": interval(gaps, rng)}
    return rows


def beside(told: dict[str, Any], earlier: Result, draws: int = 4000) -> None:
    """Take the methods over that `earlier` has and `told` has not, each with the difference of the first of `told`."""
    rng, rows = np.random.default_rng(0), told["methods"]
    name, first = next(iter(rows.items()))
    for method, row in earlier["methods"].items():
        if method in rows or method.partition(":")[0] == name:
            continue
        pairs = [(np.array(first["seeds"][task]), np.array(row["seeds"][task])) for task in first["tasks"]]
        gaps = [
            rng.choice(ours, len(ours)).mean() - rng.choice(theirs, len(theirs)).mean()
            for ours, theirs in pairs
            for _ in range(draws)
        ]
        ends = np.quantile(np.reshape(gaps, (len(pairs), draws)).mean(axis=0), [0.025, 0.975])
        gap = {"difference": first["test"] - row["test"], "ci": [float(end) for end in ends], "drawn again": "seeds"}
        rows[method] = row | {"first less this": gap}
        told["anytime"].setdefault(method, earlier["anytime"][method])
    means = np.array([[row["tasks"][task] for task in first["tasks"]] for row in rows.values()])
    for row, rank in zip(rows.values(), ranks(means), strict=True):
        row["mean rank"] = rank


def curves(results: Results, methods: Sequence[str], budget: int, points: int = 40) -> dict[str, list[float]]:
    """By method: the mean test score of the best so far, over tasks and seeds, at `points` numbers of calls."""
    at = np.linspace(budget / points, budget, points)
    found = {}
    for m in methods:
        rows = []
        for cell in (cell for task in results.values() for cell in task[m]):
            calls, scores = np.array(cell["curve"]).T
            place = np.searchsorted(calls, at, side="right") - 1
            rows.append(np.where(place < 0, 0.0, scores[np.maximum(place, 0)]))
        found[m] = np.mean(rows, axis=0).round(4).tolist()
    return {"calls": at.tolist(), **found}


def main() -> None:
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("worlds", nargs="+", choices=list(WORLDS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", default="growth,hswarm,random_search")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="for all recipes")
    parser.add_argument("--jobs", type=int, default=1, help="cells side by side, in processes (default: 1)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/search-quality")
    parser.add_argument("--rivals", type=Path, metavar="FOLDER", help="with files of results measured before")
    parser.add_argument("--name", default="", help="added to the name of the file of results")
    parser.add_argument("--picture", type=Path, help="draw the anytime curve there")
    given = parser.parse_args()
    methods = given.methods.split(",")
    if given.jobs > 1:
        side_by_side(given.worlds, methods, given)
    for world in given.worlds:
        results: Results = {}
        folder = given.runs / world
        for recipe in recipes(world, given.set):
            with Session.open(recipe) as session:
                results[recipe.name] = {
                    m: [made(session, m, seed, folder) for seed in range(given.seeds)] for m in methods
                }
        name = f"search_quality_{world.replace('-', '_')}"
        told: dict[str, Any] = {
            "calls": recipe.budget.calls,
            "seeds": given.seeds,
            "dev": len(session.task.dev),
            "test": len(session.task.test),
            "methods": table(results, methods),
            "anytime": curves(results, methods, recipe.budget.calls or 0),
        }
        if given.rivals:
            beside(told, io.read_json(given.rivals / f"{name}.json", "results"))
        publish(
            f"{name}{given.name}",
            f"{methods[0]} finds better systems than its rivals at the same number of calls",
            told,
        )
        if given.picture:
            lines = {m: values for m, values in told["anytime"].items() if m != "calls"}
            axis = "score on test of the best system so far"
            io.write_text(given.picture, curve_svg(told["anytime"]["calls"], lines, axis))


if __name__ == "__main__":
    main()
