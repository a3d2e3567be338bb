"""report.json: what a run found, with intervals, and what it cost."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np

from hswarm import io
from hswarm.core.stats import bootstrap_interval, paired_test
from hswarm.runs.cost import Forecast, outcome
from hswarm.runs.directory import Run
from hswarm.session.archive import Selection
from hswarm.session.checkpoint import Findings
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System
from hswarm.tasks.check import check_task


def reported(findings: Findings, selection: Selection, start: Literal["none", "best", "all"]) -> list[System]:
    """What is scored on test: the chosen system; of the start nothing, the best, or all experts and the best graph."""
    experts = {"none": [], "best": [findings.best_single], "all": findings.singles}[start]
    graph = [] if start == "none" else [findings.start]
    return [selection.system, *(found.system for found in [*graph, *experts])]


def final_report(
    run: Run,
    evaluator: Evaluator,
    findings: Findings,
    selection: Selection,
    tests: Sequence[Evaluation],
    rng: np.random.Generator,
) -> None:
    """Write the report of a finished run. `tests` are the evaluations on test of `reported` systems (or none)."""
    task, chosen = evaluator.task, selection.finalists[selection.chosen]
    on_test: dict[str, Evaluation] = dict(zip(("found", "start"), tests, strict=False))
    alone = {test.system.assignment[0]: test for test in tests[2:]}
    name = findings.best_single.system.assignment[0]
    single, start, best = (
        {"dev": summary(kept.scores, rng), "test": summary(test.scores, rng) if test else None}
        for kept, test in (
            (findings.best_single, alone.get(name)),
            (findings.start, on_test.get("start")),
            (chosen, on_test.get("found")),
        )
    )
    ledger = evaluator.budget.ledger
    report: dict[str, Any] = {
        "task": task.name,
        "engine": run.recipe.engine.name,
        "seed": run.recipe.seed,
        **best,
        "best_single": {"expert": name, **single},
        "start": start,
        "singles": {kept.system.assignment[0]: io.without_nan(kept.utility) for kept in findings.singles},
        "found_at": chosen.step,
        "topology": selection.system.topology.to_json() | {"assignment": selection.system.assignment},
        "iterations": findings.iterations,
        "stopped": findings.stopped,
        "calls": {
            "requested": ledger.requested,
            "generated": ledger.generated,
            "reused": ledger.reused,
            "skipped": ledger.skipped,
            "failed": ledger.failed,
        },
        "tokens": {"prompt": ledger.prompt_tokens, "completion": ledger.completion_tokens},
        "overlap": check_task(task).overlap_questions,
        "wall_s": round(evaluator.budget.seconds, 1),
        "versions": versions(),
        **findings.story,
    }
    if selection.held_out:
        report["selection"] = selection_report(selection)
    if tests:
        shown = {**on_test, **({"best_single": alone[name]} if name in alone else {})}
        report["test_faults"] = {role: faults(test) for role, test in shown.items()}
    if name in alone:
        report["gain_on_test"] = _gain(tests[0].scores, alone[name].scores, rng)
    if "start" in on_test:
        report["gain_over_start"] = _gain(tests[0].scores, on_test["start"].scores, rng)
    if len(alone) > 1:
        report["singles_test"] = {expert: io.without_nan(test.utility) for expert, test in alone.items()}
    if (run.path / "forecast.json").is_file():
        kept = io.read_json(run.path / "forecast.json", "a forecast")
        report["forecast"] = outcome(Forecast.from_json(kept), report)
    io.write_text(run.path / "report.json", json.dumps(report, indent=2) + "\n")


def _gain(found: Any, single: Any, rng: np.random.Generator) -> dict[str, Any] | None:
    """The paired difference over the examples that both answered, if there are any."""
    both = ~np.isnan(found) & ~np.isnan(single)
    if not both.any():
        return None
    paired = paired_test(found[both], single[both], rng)
    return {"difference": paired.difference, "ci": [paired.low, paired.high], "p_value": paired.p_value}


def selection_report(selection: Selection) -> dict[str, Any]:
    """Utilities of the finalists where the search saw them and on held-out dev: what the search's choice flattered."""
    finalists = [
        {"step": seen.step, "searched": io.without_nan(seen.utility), "held_out": io.without_nan(again.utility)}
        for seen, again in zip(selection.finalists, selection.held_out, strict=True)
    ]
    drops = [seen.utility - again.utility for seen, again in zip(selection.finalists, selection.held_out, strict=True)]
    return {
        "held_out": len(selection.held_out[0].scores),
        "finalists": finalists,
        "chosen": selection.chosen,
        "drop": io.without_nan(float(np.nanmean(drops))),
    }


def faults(evaluation: Evaluation) -> dict[str, int]:
    """The replies that could not be scored as meant, by kind."""
    return {kind: getattr(evaluation, kind) for kind in ("unparsed", "empty", "cut", "failed")}


def summary(scores: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Mean, size and 95 % bootstrap interval of scores; failed ones (nan) are left out and counted."""
    scored = np.asarray(scores)[~np.isnan(scores)]
    if not len(scored):
        return {"score": None, "n": 0, "ci": None, "failed": len(scores)}
    interval = bootstrap_interval(scored, rng)
    result = {"score": float(scored.mean()), "n": len(scored), "ci": [interval.low, interval.high]}
    return result | ({"failed": len(scores) - len(scored)} if len(scored) < len(scores) else {})


def versions() -> dict[str, str]:
    """What the result was made with."""
    found = {"python": platform.python_version()}
    for package in ("hswarm", "numpy", "torch", "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
