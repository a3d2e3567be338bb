"""What general graphs (decode.out_edges) do to score and cost, all else equal.

python benchmarks/beyond_the_tree.py [--seeds 3] [--only toy] [--runs FOLDER]     (resumes)

Writes docs/beyond-the-tree.md. A search a variant and seed: recipes/studies.toml with four experts; the found system is
scored on test. Differences to the tree are paired by seed and question; calls and tokens are those of an answer without
reuse, prompts included, and of a search as asked for.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROOT, fill, finished, publish
from studies import TOY, interval

from hswarm import io
from hswarm.config.recipe import Recipe, read_recipe
from hswarm.session.session import Session
from hswarm.system.cache import Cache

SIZES = ("search.nodes=4", "task.dev=60", "task.test=200", "search.iterations=10", "search.patience=10")
TASKS = {
    "toy": TOY,
    "composite": ('pool.experts=["tav", "lun", "wex", "zor"]', 'task.datasets=["tav+lun+wex+zor"]'),
    "plain": ('pool.experts=["tav", "lun", "wex", "zor"]', 'task.datasets=["tav", "lun", "wex", "zor"]'),
}
VARIANTS = {
    "tree": (),
    "two successors": ("decode.out_edges=2",),
    "three successors": ("decode.out_edges=3",),
}
TOY_SEEDS = 4  # times as many seeds as on the micro pool, for it is quick


def measured(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Figures of the found system on test, of a run brought to its end; kept beside the run."""
    kept = folder.with_name(f"{folder.name}.json")
    if kept.is_file():
        known: dict[str, Any] = json.loads(kept.read_text())
        return known
    run = finished(recipe, folder)
    system, report, session = run.best, run.report, Session.load(recipe)
    with closing(Cache(run.path / "cache.sqlite")) as cache:
        (one,) = replace(session, cache=cache).evaluator.final([system])
    made = {
        "scores": one.scores.tolist(),
        "dev": report.dev.score,
        "edges": len(system.topology.edges),
        "calls an answer": one.calls / len(one.scores),
        "tokens an answer": one.tokens / len(one.scores),
        "calls of a search": run.history()[-1].calls.requested,
    }
    io.write_text(kept, json.dumps(made))
    return made


def row(made: Sequence[dict[str, Any]], tree: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of a variant over seeds, beside the tree's."""
    scores, base = (np.array([found["scores"] for found in seeds]) for seeds in (made, tree))
    means = {key: float(np.mean([found[key] for found in made])) for key in made[0] if key != "scores"}
    return {
        "test": float(scores.mean()),
        "difference": float((scores - base).mean()),
        "95 %": interval(scores - base),
        **means,
    }


def table(task: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures of a task as Markdown."""
    head = list(next(iter(rows.values())))
    lines = [f"### {task}", "", f"| | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    for name, figures in rows.items():
        cells = [shown(key, value) for key, value in figures.items()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def shown(key: str, value: Any) -> str:
    if key == "95 %":
        return f"{value[0]:+.3f} to {value[1]:+.3f}"
    return f"{value:+.3f}" if key == "difference" else f"{value:.3f}" if key in ("test", "dev") else f"{value:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default=",".join(TASKS), help="tasks; all are needed for the page")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/beyond-the-tree")
    given = parser.parse_args()
    tables = {}
    for task in given.only.split(","):
        made: dict[str, list[dict[str, Any]]] = {}
        for seed in range(given.seeds * (TOY_SEEDS if task == "toy" else 1)):
            for variant, changes in VARIANTS.items():
                shared = (f"seed={seed}", f"search.cache={given.runs / task / 'calls.sqlite'}")
                recipe = read_recipe(ROOT / "recipes/studies.toml", [*SIZES, *TASKS[task], *changes, *shared])
                found = measured(recipe, given.runs / task / f"{variant} {seed}")
                made.setdefault(variant, []).append(found)
                print(f"{task}, {variant}, seed {seed}: {np.mean(found['scores']):.3f}", flush=True)
        tables[f"{task}, {len(made['tree'])} seeds"] = rows = {
            variant: row(seeds, made["tree"]) for variant, seeds in made.items()
        }
        print(table(task, rows), flush=True)
    if len(tables) == len(TASKS):
        rows = {f"{task}: {variant}": figures for task, found in tables.items() for variant, figures in found.items()}
        publish(
            "beyond_the_tree",
            "more edges, compared with a search over in-trees",
            {"test questions": 200, **rows},
        )
        body = "\n\n".join(table(task, found) for task, found in tables.items())
        fill(ROOT / "docs/beyond-the-tree.md", "<!-- tables: benchmarks/beyond_the_tree.py -->", body)


if __name__ == "__main__":
    main()
