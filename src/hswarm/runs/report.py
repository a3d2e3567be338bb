"""report.json: what a run found, with intervals, and what it cost."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hswarm import io
from hswarm.core.stats import bootstrap_interval, paired_test
from hswarm.runs.answers import grouped
from hswarm.runs.cost import Forecast, outcome
from hswarm.runs.directory import Run
from hswarm.runs.schema import AllCalls, Assigned, Finalist, Gain, Group, HeldOut, Report, Role, Scored, Single, Summary
from hswarm.session.archive import Selection
from hswarm.session.checkpoint import Findings
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.session.records import Tokens, faults
from hswarm.system.system import System
from hswarm.tasks.check import check_task
from hswarm.tasks.task import Example

Array = NDArray[np.float64]
_GROUPS = 100  # tasks or domains that a table may have


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
    on_test: dict[Role, Evaluation] = {}
    on_test |= zip(("found", "start"), tests, strict=False)
    alone = {test.system.assignment[0]: test for test in tests[2:]}
    name = findings.best_single.system.assignment[0]
    ledger = evaluator.budget.ledger

    def both(on_dev: Evaluation, test: Evaluation | None) -> tuple[Summary, Summary | None]:
        return summary(on_dev.scores, rng), summary(test.scores, rng) if test else None

    single = both(findings.best_single, alone.get(name))
    start = both(findings.start, on_test.get("start"))
    found = both(chosen, on_test.get("found"))
    report = Report(
        task=task.name,
        engine=run.recipe.engine.name,
        seed=run.recipe.seed,
        dev=found[0],
        test=found[1],
        best_single=Single(expert=name, dev=single[0], test=single[1]),
        start=Scored(dev=start[0], test=start[1]),
        singles={one.system.assignment[0]: io.without_nan(one.utility) for one in findings.singles},
        found_at=chosen.step,
        topology=Assigned(**selection.system.topology.to_json(), assignment=list(selection.system.assignment)),
        iterations=findings.iterations,
        stopped=dict(findings.stopped),
        calls=AllCalls(**{name: getattr(ledger, name) for name in AllCalls.model_fields}),
        tokens=Tokens(prompt=ledger.prompt_tokens, completion=ledger.completion_tokens),
        overlap=check_task(task).overlap_questions,
        wall_s=round(evaluator.budget.seconds, 1),
        versions=versions(),
    )
    if findings.growth:
        report.growth = findings.growth
    if selection.held_out:
        report.selection = held_out(selection)
    shown: dict[Role, Evaluation] = {"found": chosen, "start": findings.start, "best_single": findings.best_single}
    if tests:
        shown = on_test | ({"best_single": alone[name]} if name in alone else {})
        report.test_faults = {role: faults([test]) for role, test in shown.items()}
    if name in alone:
        report.gain_on_test = paired_gain(tests[0].scores, alone[name].scores, rng)
    if "start" in on_test:
        report.gain_over_start = paired_gain(tests[0].scores, on_test["start"].scores, rng)
    if len(alone) > 1:
        report.singles_test = {expert: io.without_nan(test.utility) for expert, test in alone.items()}
    if groups := _groups(task.test if tests else evaluator.dev, shown, rng):
        report.groups = groups
    if (run.path / "forecast.json").is_file():
        report.forecast = outcome(Forecast.read(run.path / "forecast.json"), report)
    run.write_report(report)


def _groups(
    examples: Sequence[Example], evaluations: Mapping[Role, Evaluation], rng: np.random.Generator
) -> dict[str, Group]:
    """The scores by task or domain; {} where there is one, or so many that no table shows them."""
    of = np.array(grouped(examples))
    names = sorted(set(of.tolist()) - {""})
    if len(names) > _GROUPS:
        return {}
    return {
        name: Group.model_validate({role: summary(one.scores[of == name], rng) for role, one in evaluations.items()})
        for name in names
    }


def paired_gain(found: Array, single: Array, rng: np.random.Generator) -> Gain | None:
    """The paired difference over the examples that both answered, if there are any."""
    both = ~np.isnan(found) & ~np.isnan(single)
    if not both.any():
        return None
    paired = paired_test(found[both], single[both], rng)
    return Gain(difference=paired.difference, ci=[paired.low, paired.high], p_value=paired.p_value)


def held_out(selection: Selection) -> HeldOut:
    """Utilities of the finalists where the search saw them and on held-out dev: what the search's choice flattered."""
    finalists = [
        Finalist(step=seen.step, searched=io.without_nan(seen.utility), held_out=io.without_nan(again.utility))
        for seen, again in zip(selection.finalists, selection.held_out, strict=True)
    ]
    drops = [seen.utility - again.utility for seen, again in zip(selection.finalists, selection.held_out, strict=True)]
    return HeldOut(
        held_out=len(selection.held_out[0].scores),
        finalists=finalists,
        chosen=selection.chosen,
        drop=io.without_nan(float(np.nanmean(drops))),
    )


def summary(scores: Array, rng: np.random.Generator) -> Summary:
    """Mean, size and 95 % bootstrap interval of scores; failed ones (nan) are left out and counted."""
    scored = scores[~np.isnan(scores)]
    if not len(scored):
        return Summary(score=None, n=0, ci=None, failed=len(scores))
    interval = bootstrap_interval(scored, rng)
    made = Summary(score=float(scored.mean()), n=len(scored), ci=[interval.low, interval.high])
    if len(scored) < len(scores):
        made.failed = len(scores) - len(scored)
    return made


def versions() -> dict[str, str]:
    """What the result was made with."""
    found = {"python": platform.python_version()}
    for package in ("hswarm", "numpy", "torch", "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
