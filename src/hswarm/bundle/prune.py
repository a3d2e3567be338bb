"""Remove nodes that the answer does not need, as long as the smaller system scores no less on dev.

A smaller system is the present one without a node (and without nodes whose only path to the sink led through it), or
one of its nodes with all its ancestors, as the new sink. The search has used dev already, so pruning on it spends
nothing; test is not looked at.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from pathlib import Path

import numpy as np

from hswarm.bundle.package import Source
from hswarm.core.stats import paired_test
from hswarm.core.topology import reaching
from hswarm.errors import RunError
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress
from hswarm.runs.schema import Pruned
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.session.session import Session
from hswarm.session.settings import BudgetSettings
from hswarm.system.rules import Vote
from hswarm.system.system import System
from hswarm.tasks import load_task


def prune(source: Source, path: Path, progress: Progress) -> Source:
    """`source` with the smallest system found by removing one node after the other, and the measured effect on dev.

    The report gains `pruned`. RunError if `path` is not a finished run.
    """
    if not (path / "config.toml").is_file():
        raise RunError(f"{path} is not a run, so its dev questions are unknown; prune when exporting the run")
    if source.report is None:
        raise RunError(f"{path} is not finished; finish it first, with: hswarm resume {path}")
    with _session(source.system, path).keeping(path / "cache.sqlite", progress.advance) as session:
        evaluator = session.evaluator
        whole = best = _evaluate(evaluator, [source.system], progress, "prune/whole")[0]
        while smaller := smaller_systems(best.system):
            step = f"prune/{best.system.topology.size}"
            tried = [e for e in _evaluate(evaluator, smaller, progress, step) if not np.isnan(e.utility)]
            good = [e for e in tried if e.utility >= best.utility]
            if not good:
                break
            best = max(good, key=lambda e: (e.utility, -e.system.topology.size))
    return replace(source, system=best.system, report=source.report.model_copy(update={"pruned": _effect(whole, best)}))


def smaller_systems(system: System) -> list[System]:
    """The systems that removing one node can give, each once; none in which a vote would have nothing to count."""
    topology = system.topology
    kept = set()
    for node in set(range(topology.size)) - {topology.sink}:
        kept.add(reaching(topology.sink, [edge for edge in topology.edges if node not in edge]))
        kept.add(topology.ancestors(node))
    whole = [nodes for nodes in kept if not _empty_vote(system, nodes)]
    return [system.subgraph(nodes) for nodes in sorted(whole, key=lambda nodes: (len(nodes), sorted(nodes)))]


def _empty_vote(system: System, nodes: Set[int]) -> bool:
    votes = [node for node in nodes if isinstance(system.nodes[node], Vote)]
    return any(not nodes & set(system.topology.predecessors(vote)) for vote in votes)


def _session(system: System, path: Path) -> Session:
    recipe = Run.open(path).recipe.model_copy(update={"budget": BudgetSettings()})  # the search has spent its own
    return Session.of_system(system, load_task(recipe.task), recipe)


def _evaluate(evaluator: Evaluator, systems: list[System], progress: Progress, step: str) -> list[Evaluation]:
    calls = sum(system.topology.size for system in systems) * len(evaluator.task.dev)
    progress.begin(f"pruning, {systems[-1].topology.size} nodes", calls, 0)
    return evaluator.evaluate(systems, step)


def _effect(whole: Evaluation, pruned: Evaluation) -> Pruned:
    paired = paired_test(pruned.scores, whole.scores, np.random.default_rng(0))
    return Pruned(
        nodes=whole.system.topology.size,
        kept=pruned.system.topology.size,
        dev_before=whole.utility,
        dev_after=pruned.utility,
        difference=paired.difference,
        ci=[paired.low, paired.high],
    )
