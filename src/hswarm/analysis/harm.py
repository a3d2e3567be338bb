"""Whom to keep out: what the answer loses if the last node reads one more expert's reply to the question."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hswarm.analysis.context import AnalysisContext, analysis, whole
from hswarm.analysis.result import AnalysisResult, Table
from hswarm.core.stats import holm, paired_test
from hswarm.core.topology import Topology
from hswarm.experts.expert import Expert
from hswarm.plots.bars import bars_svg
from hswarm.system.system import System

_LEVEL = 0.05


@analysis("harm", "Which expert's reply, read by the last node, harms")
def harm(context: AnalysisContext) -> AnalysisResult:
    """Each expert of the pool as a further node that the sink reads, on test by default.

    Any further message may confuse a node, so an expert harms if the answer loses by its reply, and more than by most
    others': than the median of their scores, question by question (Holm's p-value). A search that avoids an expert asks
    it little, and so says little of it.
    """
    split, experts = context.split("test"), context.session.pool.experts
    systems = [context.system, *(with_message(context.system, expert) for expert in experts)]
    examples = context.examples(split, 2 * len(experts) + context.system.calls)
    scores = context.scores(systems, examples, "one more message")
    scores = scores[:, whole(scores)]
    alone, added = scores[0], scores[1:]
    lost = [paired_test(row, alone, np.random.default_rng(0)) for row in added]
    others = [np.median(np.delete(added, i, axis=0), axis=0) for i in range(len(added))]
    apart = [paired_test(row, mean, np.random.default_rng(0)) for row, mean in zip(added, others, strict=True)]
    corrected = holm([gap.p_value for gap in apart])
    told = sorted(zip(experts, lost, apart, corrected, strict=True), key=lambda one: one[1].difference)
    harmful = [one for one in told if one[1].high < 0 and one[2].difference < 0 and one[3] < _LEVEL]
    says = [
        f"{one.name} harms: {loss} if the last node reads its reply too, {gap} against the others' replies"
        for one, loss, gap, _ in harmful
    ]
    rows = tuple((one.name, str(loss), str(gap), f"{p:.3f}") for one, loss, gap, p in told)
    head = ("expert", "with its reply", "less the others' median", "p (Holm)")
    return AnalysisResult(
        "harm",
        "Whose reply harms",
        tuple(says) or ("no expert's reply harms more than the others'",),
        (Table(f"The sink reads one more reply, {scores.shape[1]} {split} questions", head, rows),),
        bars_svg(
            [one.name for one, *_ in told],
            [loss.difference for _, loss, *_ in told],
            f"difference by one more reply, on {split}",
            [(loss.low, loss.high) for _, loss, *_ in told],
        ),
        {"split": split, "harmful": [one.name for one, *_ in harmful]},
        context.spent(),
    )


def with_message(system: System, expert: Expert, everywhere: bool = False) -> System:
    """`system` with `expert` as a further node that reads none, read by the sink, or by every node."""
    size, topology = system.topology.size, system.topology
    edges = [*topology.edges, *((size, node) for node in (range(size) if everywhere else [topology.sink]))]
    seeds = (*system.seeds, system.sampling.seed) if system.seeds else ()
    return replace(system, topology=Topology.of(size + 1, edges), nodes=(*system.nodes, expert), seeds=seeds)
