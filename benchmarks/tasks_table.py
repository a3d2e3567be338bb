"""Claim: every published task file runs end to end, scored strictly and by the authors' loose rules.

python benchmarks/tasks_table.py FOLDER        (FOLDER holds NAME.json files; writes docs/tasks-table.md and .json)

The base without an expert and the starter pool's expert that is best on a slice of dev answer a slice of test, each
alone and greedily, with the named task's prompt and answer length; the same replies are scored strictly and by the
authors' loose rules. Tasks that a judge scores are scored by token F1 here and the abstain task by its choices, so that
no judge is needed. The slices show that things work; they are too small to rank experts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hswarm.core.stats import bootstrap_interval
from hswarm.core.topology import Topology
from hswarm.engines import open_engine
from hswarm.engines.base import Completion, EngineSettings, Sampling
from hswarm.execution.execute import Executor
from hswarm.execution.system import System
from hswarm.experts.adapter import Expert
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.prompts import Prompts
from hswarm.registry import lookup
from hswarm.scorers import task_scorer
from hswarm.tasks import TABLE, TaskSettings, load_task
from hswarm.tasks.named import NamedTask
from hswarm.tasks.task import Example, Task

ROOT = Path(__file__).parents[1]
OFFLINE = {"judge": "token-f1", "abstain": "choice"}
FAULTS = ("unparsed", "empty", "cut")
HEAD = """# Strict and reference scores on the published files

Measured by `python benchmarks/tasks_table.py FOLDER` with the --dev and --test of the table, some tasks in a process of
their own; numbers in tasks-table.json. SmolLM2-135M-Instruct without an expert, and the starter pool's expert that is
best on the slice of dev, on a slice of test; each alone, greedy. In brackets 95 % bootstrap intervals. `ltp` and
`qasper` are scored by token F1 and `mmlu` by its choices here, so that no judge is needed. The slices show that
the files run; they are too small to rank experts, or to show what loose parsing adds.

Engine: {engine}

| task | dev/test | strict scorer | who | strict | reference | unparsed, empty, cut off |
|---|---|---|---|---|---|---|"""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure task by task and write after each."""
    arguments = _arguments(argv)
    pool = open_pool(PoolSettings(path=str(arguments.pool)))
    executor = Executor(open_engine(EngineSettings(name="transformers", batch=arguments.batch), pool.bases))
    some = pool.experts[0]
    base = Expert.of("base", np.zeros_like(some.vector), some.form)
    names = [name for name in TABLE if (arguments.folder / f"{name}.json").is_file()]
    rows: list[dict[str, Any]] = []
    for name in names:
        began = time.monotonic()
        task = _task(name, arguments)
        dev = {expert.name: _mean(_alone(executor, task, expert, task.dev), task, task.dev) for expert in pool.experts}
        best = max(pool.experts, key=lambda expert: dev[expert.name])
        answers = {e.name: _row(_alone(executor, task, e, task.test), task) for e in (base, best)}
        rows.append({"task": name, "scorer": task.scorer, "reference": task.reference, "dev": dev, "best": best.name,
                     "questions": {"dev": len(task.dev), "test": len(task.test)}, "test": answers,
                     "seconds": round(time.monotonic() - began)})  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
        whole = {"engine": executor.engine.fingerprint, "pool": pool.names, "rows": rows}
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "tasks-table.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        (arguments.out / "tasks-table.md").write_text(_page(whole), encoding="utf-8")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the task files are")
    parser.add_argument("--dev", type=int, default=8, help="questions of dev that choose the best expert")
    parser.add_argument("--test", type=int, default=16, help="questions of test")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pool", type=Path, default=ROOT / "experts" / "smollm2")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    return parser.parse_args(argv)


def _task(name: str, arguments: argparse.Namespace) -> Task:
    card: NamedTask = lookup("tasks", TABLE, name)
    return load_task(TaskSettings(name=name, path=str(arguments.folder), dev=arguments.dev, test=arguments.test,
                                  scorer=OFFLINE.get(card.scorer, "")))  # fmt: skip


def _alone(executor: Executor, task: Task, expert: Expert, examples: Sequence[Example]) -> list[Completion]:
    sampling = Sampling(max_new_tokens=task.max_new_tokens)
    system = System(Topology.chain(1), (expert,), Prompts().fitted(task), sampling=sampling)
    (nodes,) = executor.run([system], examples, f"{task.name}/{expert.name}/{len(examples)}")
    return nodes[0]


def _mean(replies: Sequence[Completion], task: Task, examples: Sequence[Example]) -> float:
    return float(np.mean([score.value for score in task_scorer(task)(examples, [reply.text for reply in replies])]))


def _row(replies: Sequence[Completion], task: Task) -> dict[str, Any]:
    """Strict and reference score with intervals, and what could not be scored as meant."""
    texts = [reply.text for reply in replies]
    row: dict[str, Any] = {}
    for kind in ("strict", "reference"):
        scores = task_scorer(task, "" if kind == "strict" else "reference")(task.test, texts)
        values = np.array([score.value for score in scores])
        interval = bootstrap_interval(values, np.random.default_rng(0))
        row[kind] = {"score": float(values.mean()), "ci": [interval.low, interval.high]}
        if kind == "strict":
            row["unparsed"] = sum(not score.parsed for score in scores)
    return row | {"empty": sum(not text for text in texts), "cut": sum(r.finish == "length" for r in replies)}


def _page(whole: dict[str, Any]) -> str:
    """The page docs/tasks-table.md."""
    lines = [HEAD.format(engine=whole["engine"])]
    for row in whole["rows"]:
        for who, found in row["test"].items():
            sizes = f"{row['questions']['dev']}/{row['questions']['test']}"
            faults = ", ".join(str(found[fault]) for fault in FAULTS)
            lines.append(f"| {row['task']} | {sizes} | {row['scorer']} | {who} | {_cell(found['strict'])} | "
                         f"{_cell(found['reference'])} | {faults} |")  # fmt: skip
    return "\n".join(lines) + "\n"


def _cell(found: dict[str, Any]) -> str:
    low, high = found["ci"]
    return f"{found['score']:.2f} ({low:.2f}-{high:.2f})"


if __name__ == "__main__":
    main()
