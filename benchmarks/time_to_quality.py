"""Claim: as good as the naive way at its end, in a fortieth of its time.

    python benchmarks/time_to_quality.py demo [micro] [smollm2] [--seeds 5] [--seconds 60]

Two naive loops, each written after its description and given the recipe's pool, task, seed and scorer:

- "paper": the swarms of arXiv 2502.04510 with the recipe's settings, prompts in the paper's order. Base and adapter are
  read from disk for every node of every system, three prompts a batch in the order of the file, nothing is reused.
- "roles": MoCo's heterogeneous swarms: five particles over adjacency matrices of all experts, drawn from U(-1, 1),
  five iterations on the first quarter of dev, G-Decode drawn again with a nucleus of 0.7 at every use, weights as they
  are. Its calls are made as those of "paper", but 16 prompts a batch.

What a loop finds, and how many calls it asks for, is the same with and without reuse, so its search is made by our
engine; what its calls cost is measured on systems that it asked, drawn at random for `--seconds`, and scaled to all of
its calls. Ours is `hswarm search` with its default strategy. It is as good as a loop from the moment on which the best
system so far scores, and keeps scoring, no more than 0.01 below the loop's result on test; its time counts from before
task, pool and engine are opened. Where it never gets there, its whole search is counted and the row says so.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from measuring import ROOT, clock, publish
from search_quality import Watch
from search_vs_naive import BATCH, calls, naive

from hswarm import io
from hswarm.config.recipe import Recipe, read_recipe
from hswarm.core.decode import g_decode
from hswarm.core.swarm import Swarm
from hswarm.engines.base import Completion
from hswarm.experts.pool import ExpertPool
from hswarm.methods import get_method, run_method
from hswarm.methods.base import Method
from hswarm.session.evaluator import Evaluator
from hswarm.session.session import Session
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks.task import Example

RECIPES = {"demo": ["demo"], "micro": ["micro", "budget.calls=20000"], "smollm2": ["smollm2"]}
NEAR = 0.01


def roles(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """MoCo's loop: a swarm over graphs alone."""
    size = len(pool.experts)

    def drawn(position: Any) -> System:
        return evaluator.system(g_decode(position.reshape(size, size), rng, 0.7), pool.experts)

    swarm, quarter = Swarm(rng.uniform(-1, 1, (5, size**2)), evaluator.recipe.role, rng), len(evaluator.dev) // 4
    for i in range(5):
        systems = [drawn(position) for position in swarm.ask()]
        swarm.tell([e.utility for e in evaluator.evaluate(systems, f"roles {i}", part=range(quarter))])
    return drawn(swarm.best_position)


LOOPS: dict[str, tuple[Method, int]] = {"paper": (get_method("hswarm"), BATCH), "roles": (roles, 16)}


@dataclass
class Noting(Executor):
    """Notes which systems answer which questions."""

    asked: list[tuple[System, Sequence[Example]]] = field(default_factory=list)

    def run(
        self, systems: Sequence[Any], examples: Sequence[Example], step: str, *more: Any, **named: Any
    ) -> list[list[list[Completion]]]:
        self.asked.extend((system, examples) for system in systems)
        return super().run(systems, examples, step, *more, **named)


class Moment(NamedTuple):
    """When a new best system was there, and what was spent until then."""

    system: System
    seconds: float
    calls: int
    tokens: int


class Timed(Watch):
    """Notes the moment of each new best system too."""

    def __init__(self, evaluator: Evaluator, began: float) -> None:
        super().__init__(evaluator)
        self._began = began
        self.moments: list[Moment] = []

    def _note(self, system: System) -> None:
        super()._note(system)
        if len(self.moments) < len(self.curve):
            budget = self._evaluator.budget
            spent = time.perf_counter() - self._began, budget.ledger.generated, budget.tokens
            self.moments.append(Moment(system, *spent))


def loop(session: Session, name: str, seed: int, seconds: float) -> dict[str, float]:
    """What a naive loop finds, and what it spends."""
    method, batch = LOOPS[name]
    executor = Noting(session.engine, settings=session.recipe.engine)
    evaluator = Evaluator(session.task, session.recipe, session.pool, executor)
    found = run_method(method, session.pool, evaluator, np.random.default_rng(seed))
    asked, order = list(executor.asked), np.random.default_rng(seed).permutation(len(executor.asked))
    (test,) = evaluator.final([found])
    total, measured, took, tokens = sum(calls(*each) for each in asked), 0, 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        for i in order:
            if took >= seconds:
                break
            system, examples = asked[i]
            spent, read = naive(system, examples, Path(folder), batch)
            took, tokens, measured = took + spent, tokens + read, measured + calls(system, examples)
    scale = total / measured
    return {
        "test": test.utility,
        "calls": total,
        "seconds": took * scale,
        "tokens": tokens * scale,
        "measured": 1 / scale,
    }


def ours(recipe: Recipe, seed: int) -> list[dict[str, float]]:
    """Seconds, calls, tokens and test score at each new best system of a search."""
    began = time.perf_counter()
    with Session.open(recipe) as session:
        evaluator = session.evaluator
        evaluator.checkpointer = watch = Timed(evaluator, began)
        found = run_method(get_method("growth"), session.pool, evaluator, np.random.default_rng(seed))
        watch.moments.append(
            Moment(found, time.perf_counter() - began, evaluator.budget.ledger.generated, evaluator.budget.tokens)
        )
        scored = evaluator.final([moment.system for moment in watch.moments])
    return [
        {"test": e.utility, "seconds": m.seconds, "calls": m.calls, "tokens": m.tokens}
        for m, e in zip(watch.moments, scored, strict=True)
    ]


def cell(name: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """One recipe and seed, kept under --runs."""
    path: Path = given.runs / name / f"{seed}.json"
    if path.is_file():
        return dict(io.read_json(path, "a cell"))
    recipe_file, *changes = RECIPES[name]
    recipe = read_recipe(ROOT / f"recipes/{recipe_file}.toml", [*changes, f"seed={seed}"])
    curve = ours(recipe, seed)
    with Session.open(recipe) as session:
        made = {"ours": curve, **{rival: loop(session, rival, seed, given.seconds) for rival in LOOPS}}
    io.write_text(path, json.dumps(made) + "\n")
    return made


def reached(curve: Sequence[dict[str, float]], score: float) -> dict[str, float]:
    """Where the best so far scores `score` and never less again; the end if it never does, with "missed" 1."""
    below = [i for i, point in enumerate(curve) if point["test"] < score]
    first = below[-1] + 1 if below else 0
    return {**curve[min(first, len(curve) - 1)], "missed": float(first == len(curve))}


def row(cells: Sequence[dict[str, Any]], rival: str) -> dict[str, object]:
    """A recipe's means over seeds beside one loop, and how many times less ours takes, seeds drawn again."""
    theirs = [made[rival] for made in cells]
    mine = [reached(made["ours"], made[rival]["test"] - NEAR) for made in cells]
    found: dict[str, object] = {
        "test": float(np.mean([each["test"] for each in theirs])),
        "test, ours at the end": float(np.mean([made["ours"][-1]["test"] for made in cells])),
        "share of its calls that was measured": float(np.mean([each["measured"] for each in theirs])),
        "seeds where ours never gets there": sum(each["missed"] for each in mine),
    }
    rng = np.random.default_rng(0)
    for key in ("seconds", "calls", "tokens"):
        pairs = np.array([(a[key], b[key]) for a, b in zip(theirs, mine, strict=True)])
        drawn = pairs[rng.integers(len(pairs), size=(4000, len(pairs)))].sum(axis=1)
        ends = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
        found[key] = {
            "naive": float(pairs[:, 0].mean()),
            "ours": float(pairs[:, 1].mean()),
            "times": float(pairs[:, 0].sum() / pairs[:, 1].sum()),
            "95 %": [round(float(end), 1) for end in ends],
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("recipes", nargs="+", choices=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60, help="that each loop is measured for, a seed")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/time-to-quality")
    given = parser.parse_args()
    for name in given.recipes:
        took, cells = clock(lambda: [cell(name, seed, given) for seed in range(given.seeds)])  # noqa: B023
        rows = {rival: row(cells, rival) for rival in LOOPS}
        publish(
            f"time_to_quality_{name}",
            f"as good as the naive way on recipes/{RECIPES[name][0]}.toml in a fortieth of its time",
            {"set": RECIPES[name][1:], "seeds": given.seeds, "measured in, s": took, **rows},
        )


if __name__ == "__main__":
    main()
