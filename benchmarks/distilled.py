"""Claim: one adapter trained on a system's own answers gives most of the system's gain in one call.

    python benchmarks/distilled.py micro-tasks/chain-four demo [--questions 1500] [--steps 300] [--runs runs/distilled]

Each recipe is searched, then distilled. Printed and kept as docs/benchmarks/distilled.json: test of the system, the
adapter, the best single expert and the base, calls an answer, and the adapter less system and single, paired.
"""

import argparse
from pathlib import Path

from measuring import ROOT, finished, publish

from hswarm.config.recipe import read_recipe
from hswarm.experiments.distil import DistilSettings, distil
from hswarm.runs.progress import Progress


def row(name: str, settings: DistilSettings, runs: Path) -> dict[str, object]:
    run = finished(read_recipe(ROOT / f"recipes/{name}.toml"), runs / f"{Path(name).name}-0")
    told = distil(run, run.path / "distilled", settings, Progress())
    assert told.less_system
    assert told.less_single
    made: dict[str, object] = {one.name: f"{one.test}, calls {one.calls}" for one in told.rows}
    made |= {"kept": told.kept, "lessons": told.lessons}
    for what, gain in (("less system", told.less_system), ("less single", told.less_single)):
        made[f"distilled {what}"] = [gain.difference, *gain.ci]
    return {"task": name, **made}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--questions", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/distilled")
    given = parser.parse_args()
    settings = DistilSettings(questions=given.questions, steps=given.steps)
    rows = [row(name, settings, given.runs) for name in given.recipes]
    publish("distilled", "one adapter gives most of a system's gain in one call", {"rows": rows})
