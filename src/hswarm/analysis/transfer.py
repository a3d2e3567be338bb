"""Cross-task transfer: what a graph and weights found on one task are worth on others (arXiv 2502.04510)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hswarm.analysis.ablation import halves
from hswarm.analysis.compared import answered, compare_scores
from hswarm.analysis.context import AnalysisContext, Target, analysis
from hswarm.analysis.result import AnalysisResult, Table
from hswarm.core.topology import Topology
from hswarm.errors import ConfigError, RunError
from hswarm.experts.expert import Expert
from hswarm.plots.bars import bars_svg
from hswarm.system.system import System


@dataclass(frozen=True)
class Carried:
    """Scores, by system, on the test questions of another task."""

    target: str
    scores: dict[str, NDArray[np.float64]]


@analysis("transfer", "What the found graph and weights do on other tasks", paper="arXiv 2502.04510", needs="to")
def transfer(subject: AnalysisContext) -> AnalysisResult:
    """The found graph, the found weights and both on each task of `to`, beside the start, the single expert that was
    best on the run's own task, and what was found there."""
    if not subject.options.to:
        raise ConfigError(["transfer needs other tasks: --to TASK or --to RUN, as often as wanted"])
    made = [_carried(subject, target) for target in subject.options.to]
    tables, says, numbers = [], [], {}
    for one in made:
        table, line, figures = _told(one)
        tables.append(table)
        says.append(line)
        numbers[one.target] = figures
    names = [f"{one.target}: {name}" for one in made for name in one.scores]
    values = [float(np.nanmean(row)) for one in made for row in one.scores.values()]
    return AnalysisResult(
        "transfer",
        "Cross-task transfer",
        tuple(says),
        tuple(tables),
        bars_svg(names, values, "scores on other tasks"),
        numbers,
        subject.spent(),
    )


def _carried(subject: AnalysisContext, target: Target) -> Carried:
    there = replace(subject.session, task=target.task).evaluator

    def make(topology: Topology, experts: Sequence[Expert]) -> System:
        return there.system(topology, experts)

    best = subject.run.report.best_single.expert
    single = next(expert for expert in subject.session.pool.experts if expert.name == best)
    four = halves(subject, make)
    systems = {
        "best single expert": there.alone(single),
        "start": four.start,
        "found graph": four.roles,
        "found weights": four.weights,
        "found system": four.both,
    }
    if target.system:
        if not set(target.system.bases) <= set(subject.session.pool.bases):
            raise RunError(
                f"{target.name} has another base model ({', '.join(target.system.bases)}); "
                "name its task instead (--to RECIPE)"
            )
        systems["found there"] = target.system
    examples = subject.part(target.task.test or target.task.dev, sum(system.calls for system in systems.values()))
    scores = subject.scores(list(systems.values()), examples, f"transfer to {target.name}", target.task)
    return Carried(target.name, dict(zip(systems, scores, strict=True)))


def _told(one: Carried) -> tuple[Table, str, dict[str, float]]:
    scores = answered(one.scores, one.target)
    table, _ = compare_scores(f"On {one.target}", scores, "best single expert")
    figures = {name: float(row.mean()) for name, row in scores.items()}
    gains = ", ".join(
        f"the {name} {figures[name] - figures['start']:+.3f}"
        for name in ("found graph", "found weights", "found system")
    )
    questions = len(scores["start"])
    return table, f"on {one.target} ({questions} questions) the start scores {figures['start']:.3f}; {gains}", figures
