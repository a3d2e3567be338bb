"""Claim: every published task file runs end to end, scored strictly and by the authors' loose rules.

OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/tasks_table.py FOLDER [--tasks a,b] [--dev 10] [--test 30]

FOLDER holds NAME.json files; docs/tasks-table.json and .md are written after every task. Each call is kept as soon as
it is answered: started again, the same command goes on where it was broken off. A row measured before stays until its
task is measured again, so that a slow task may take a command and sizes of its own.

The base without an expert and the starter pool's expert that is best on a slice of dev answer a slice of test, each
alone and greedily, with the named task's prompt and answer length. Rival: the base. A judge's tasks are scored by token
F1 here, since no judge is at hand; the authors have no other rule for them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hswarm.core.stats import bootstrap_interval, paired_test
from hswarm.core.topology import Topology
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.experts.adapter import Adapter
from hswarm.experts.expert import Expert
from hswarm.experts.pool import ExpertPool, PoolSettings, open_pool
from hswarm.prompts import Prompts
from hswarm.scorers import task_scorer
from hswarm.system.cache import Cache
from hswarm.system.executor import Executor
from hswarm.system.scoring import score_replies
from hswarm.system.system import System
from hswarm.tasks import TaskSettings, load_task
from hswarm.tasks.splits import finished
from hswarm.tasks.task import Example, Task
from hswarm.tasks.task import task as room

ROOT = Path(__file__).parents[1]
FAULTS = ("unparsed", "empty", "cut")
NAMED = [name for name, part in room.parts.items() if part.place.startswith("hswarm.tasks.named:")]
HEAD = """# Strict and reference scores on the published files

Measured by `python benchmarks/tasks_table.py FOLDER` with the sizes below (`--dev`, `--test`); numbers in
tasks-table.json. The base ({base}) without an expert, and the pool's expert
({pool}) that is best on the slice of dev, on the slice of test; each alone,
greedy. In brackets 95 % bootstrap intervals over questions; "over base" is the paired difference of strict scores.
The intervals say how little slices of such sizes rank; larger ones go on from the calls that were kept.

- strict: the task's own scorer. `mmlu` is its reliability, (right - wrong) / all in [-1, 1], from two passes.
  `ltp` and `qasper` are scored by token F1, since a judge was not at hand and the base is none.
- reference: the authors' loose parsing of the same replies. They have none for a judge's tasks; for `mmlu` it counts
  the first pass's letters, so the two columns of that row do not compare.
- A single node reads all context chunks of its question: `qasper` has some 3,000 tokens a prompt, about ten times the
  others', 8 seconds of a core a reply; hence its own, small sizes (`--tasks qasper`).

Engine: {engine}. {absent}

| task | dev/test | strict scorer | who | strict | over base | reference | unparsed, empty, cut off |
|---|---|---|---|---|---|---|---|"""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure task by task and write after each."""
    arguments = _arguments(argv)
    pool = open_pool(PoolSettings(path=str(arguments.pool), base=arguments.base))
    settings = EngineSettings(name=arguments.engine, batch=arguments.batch)
    executor = Executor(open_engine(settings, pool.bases), Cache(arguments.calls))
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "tasks-table.json"
    rows: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.is_file() else {}
    for name in arguments.tasks.split(",") if arguments.tasks else NAMED:
        if not arguments.tasks and not (arguments.folder / f"{name}.json").is_file():
            continue
        rows[name] = _measured(_task(name, arguments), pool, executor)
        whole = {"base": pool.base, "pool": pool.names, "rows": {name: rows[name] for name in sorted(rows)}}
        file.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        file.with_suffix(".md").write_text(_page(whole), encoding="utf-8")
        print(name, json.dumps(rows[name]), flush=True)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the task files are")
    parser.add_argument("--tasks", default="", help="names with commas; default: all whose file is there")
    parser.add_argument("--dev", type=int, default=10, help="questions of dev that choose the best expert, or all")
    parser.add_argument("--test", type=int, default=30, help="questions of test, or all that there are")
    parser.add_argument("--engine", default="auto", help="default: the fastest for this machine")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pool", type=Path, default=ROOT / "experts" / "smollm2")
    parser.add_argument("--base", default="", help="a folder or id; default: the one that the adapters name")
    parser.add_argument("--calls", type=Path, default=ROOT / "runs" / "tasks-table.sqlite", help="answered calls")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    return parser.parse_args(argv)


def _task(name: str, arguments: argparse.Namespace) -> Task:
    """The task in the sizes asked for, or those that its file has where these are less."""
    settings = TaskSettings(name=name, path=str(arguments.folder))
    whole = load_task(settings)
    if whole.scorer == "judge":
        whole = finished(whole, replace(settings, scorer="token_f1"))
    rng = np.random.default_rng(0)
    drawn = [_slice(split, size, rng) for split, size in ((whole.dev, arguments.dev), (whole.test, arguments.test))]
    return replace(whole, dev=drawn[0], test=drawn[1])


def _slice(examples: tuple[Example, ...], size: int, rng: np.random.Generator) -> tuple[Example, ...]:
    """The first `size` of a fixed shuffle: a larger slice holds the smaller one."""
    return tuple(examples[i] for i in rng.permutation(len(examples))[:size])


def _measured(task: Task, pool: ExpertPool, executor: Executor) -> dict[str, Any]:
    """The row of one task."""
    some = pool.experts[0]
    assert isinstance(some, Adapter)
    base = Adapter.from_vector("base", np.zeros_like(some.vector), some.form)
    dev = {expert.name: float(np.mean(_alone(executor, task, expert, task.dev)["strict"])) for expert in pool.experts}
    best = max(pool.experts, key=lambda expert: dev[expert.name])
    test = {expert.name: _alone(executor, task, expert, task.test) for expert in (base, best)}
    over = paired_test(test[best.name]["strict"], test["base"]["strict"], np.random.default_rng(0))
    return {
        "scorer": task.scorer,
        "engine": executor.engine.fingerprint,
        "questions": {"dev": len(task.dev), "test": len(task.test)},
        "dev": dev,
        "best": best.name,
        "test": test,
        "over_base": over._asdict(),
    }


def _alone(executor: Executor, task: Task, expert: Expert, examples: Sequence[Example]) -> dict[str, Any]:
    """Strict and reference score of each question, and how many replies could not be scored as meant."""
    system = System(Topology.chain(1), (expert,), Prompts().fitted(task), sampling=Sampling(task.max_new_tokens))
    step = f"{task.name}/{expert.name}/{len(examples)}"
    (nodes,) = executor.run([system], examples, step)
    found: dict[str, Any] = {}
    for kind in ("strict", "reference"):
        scorer = task_scorer(task, "" if kind == "strict" else "reference")
        (scores,) = score_replies(scorer, executor, [system], [nodes], examples, step)
        found[kind] = [round(score.value, 4) for score in scores]
        found.setdefault("unparsed", sum(not score.parsed for score in scores))
    texts = [reply.text for reply in nodes[0]]
    return found | {"empty": texts.count(""), "cut": sum(reply.finish == "length" for reply in nodes[0])}


def _page(whole: dict[str, Any]) -> str:
    """The page docs/tasks-table.md."""
    rows = whole["rows"]
    absent = [name for name in NAMED if name not in rows]
    head = HEAD.format(
        base=whole["base"],
        pool=", ".join(whole["pool"]),
        engine=", ".join(sorted({row["engine"] for row in rows.values()})),
        absent=f"No file was at hand for {', '.join(absent)}." if absent else "",
    )
    lines = [head.replace(". \n", ".\n")]
    for name, row in rows.items():
        over = row["over_base"]
        for who, found in row["test"].items():
            cells = [
                name,
                f"{row['questions']['dev']}/{row['questions']['test']}",
                row["scorer"],
                who,
                _mean(found["strict"]),
                "" if who == "base" else _cell(over["difference"], over["low"], over["high"], "+"),
                "none" if row["scorer"] == "token_f1" else _mean(found["reference"]),
                ", ".join(str(found[fault]) for fault in FAULTS),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _mean(scores: Sequence[float]) -> str:
    return _cell(float(np.mean(scores)), *bootstrap_interval(scores, np.random.default_rng(0)))


def _cell(value: float, low: float, high: float, sign: str = "") -> str:
    return f"{value:{sign}.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
