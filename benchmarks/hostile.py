"""Claim: experts that are wrong on purpose or write instructions into their messages do not harm what growth finds.

    python benchmarks/hostile.py search [--method growth] [--seeds 3] [--runs runs/hostile]
    python benchmarks/hostile.py search --method hswarm --tasks chain-two --hostile liar
    python benchmarks/hostile.py named [--runs runs/hostile]
    python benchmarks/hostile.py placed --run runs/hostile/chain-four-liar-0

`search`: the pool of recipes/micro-tasks with one of its useless experts replaced by a hostile one of
experts/micro/hostile, at the recipe's budget: test scores beside those of the pool as it is (from
docs/benchmarks/search_quality_micro_tasks.json), how often the system found has the hostile expert in it, what the
report says of it.
`named`: whom the analysis `harm` names in each of these runs.
`placed`: a hostile expert put where it can do harm in a system found: read by the sink alone, and by every node.
Kept as docs/benchmarks/hostile_PART.json.
"""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from measuring import ROOT, finished, publish

from hswarm.analysis import analyze
from hswarm.analysis.harm import with_message
from hswarm.config.recipe import read_recipe
from hswarm.core.stats import bootstrap_interval, paired_test
from hswarm.experts.pool import read_expert
from hswarm.runs.directory import Run
from hswarm.session.session import Session

ROOM = "gul"  # the expert that makes room: no question of the tasks needs it
HOSTILE = ("liar", "injector")
CLAIMS = {
    "search": "how a hostile expert in the pool changes the score of what a search finds",
    "named": "the analysis harm names hostile experts",
    "placed": "how much harm a hostile expert does to a system found",
}
Rows = list[dict[str, object]]


def pool(folder: Path) -> Path:
    """The micro pool with the hostile experts beside the others."""
    made = folder / "pool"
    if not made.exists():
        for part in ("pool", "hostile"):
            shutil.copytree(ROOT / "experts/micro" / part, made, dirs_exist_ok=True)
    return made.resolve()


def searched(task: str, hostile: str, method: str, seed: int, runs: Path) -> Run:
    path = ROOT / f"recipes/micro-tasks/{task}.toml"
    names = [hostile if name == ROOM else name for name in read_recipe(path).pool.experts]
    changed = [f"pool.path={pool(runs)}", f"pool.experts={json.dumps(names)}", f"seed={seed}"]
    return finished(
        read_recipe(path, [*changed, f"search.method={method}"]), runs / f"{method}-{task}-{hostile}-{seed}"
    )


def search_table(tasks: Sequence[str], hostile: Sequence[str], seeds: int, method: str, runs: Path) -> Rows:
    clean = json.loads((ROOT / "docs/benchmarks/search_quality_micro_tasks.json").read_text())["methods"][method]
    rows: Rows = []
    for task in tasks:
        for name in hostile:
            made = [searched(task, name, method, seed, runs) for seed in range(seeds)]
            used = [any(name in one for one in run.best.assignment) for run in made]
            rows.append(
                {
                    "task": task,
                    "method": method,
                    "hostile": name,
                    "test": [run.report.test.score for run in made if run.report.test],
                    "test, pool as it is": clean["seeds"][task][:seeds],
                    "in the system found": f"{sum(used)} of {len(used)}",
                    "in the report": [run.report.growth.experts[name] for run in made if run.report.growth],
                    "systems": [run.report.growth.lineage[-1].system for run in made if run.report.growth],
                }
            )
            print(rows[-1], flush=True)
    return rows


def named_table(runs: Path) -> Rows:
    rows: Rows = []
    for path in sorted(path for path in runs.iterdir() if (path / "report.json").is_file()):
        (found,) = analyze(path, ["harm"])
        rows.append({"run": path.name, "harmful": found.numbers["harmful"], "table": found.tables[0].rows})
        print(rows[-1], flush=True)
    return rows


def compared(scores: Mapping[str, Sequence[float]], control: str) -> Rows:
    """Means with intervals, and paired differences to the control."""
    rows: Rows = []
    for name, row in scores.items():
        low, high = bootstrap_interval(row, np.random.default_rng(0))
        gap = paired_test(row, scores[control], np.random.default_rng(0))
        rows.append({"what": name, "score": f"{np.mean(row):.3f} [{low:.3f}, {high:.3f}]", f"less {control}": str(gap)})
        print(rows[-1], flush=True)
    return rows


def placed_table(run: Run) -> Rows:
    with Session.open(run.recipe) as session:
        evaluator, found = session.evaluator, run.best
        systems = {"found system": found}
        for name in HOSTILE:
            expert = read_expert(ROOT / "experts/micro/hostile" / name).with_base(found.experts[0].base)
            for everywhere, where in ((False, "the sink"), (True, "every node")):
                systems[f"{name} read by {where}"] = with_message(found, expert, everywhere)
        made = evaluator.final(list(systems.values()))
    return compared({name: one.scores.tolist() for name, one in zip(systems, made, strict=True)}, "found system")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=("search", "named", "placed"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--method", default="growth")
    parser.add_argument("--tasks", nargs="+", default=["chain-two", "chain-four"])
    parser.add_argument("--hostile", nargs="+", default=["liar", "injector"])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/hostile")
    parser.add_argument("--run", default="", help="placed: a run of the micro pool")
    given = parser.parse_args()
    parts = {
        "search": lambda: search_table(given.tasks, given.hostile, given.seeds, given.method, given.runs),
        "named": lambda: named_table(given.runs),
        "placed": lambda: placed_table(Run.open(given.run)),
    }
    kind = f"_{given.method}" if given.part == "search" else ""
    publish(f"hostile_{given.part}{kind}", CLAIMS[given.part], {"rows": parts[given.part]()})
