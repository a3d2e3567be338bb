"""What several methods do first: score the experts alone, and take the best as the team."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hswarm.core.topology import Topology
from hswarm.experts.expert import Expert
from hswarm.experts.pool import ExpertPool
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


def ranked_alone(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> list[Evaluation]:
    """Every expert alone on dev, the best first. Ties are drawn: the order in which a pool is written down must not
    help a method that puts its experts in a row."""
    singles = evaluator.evaluate([evaluator.alone(expert) for expert in pool.experts], "alone")
    drawn = [singles[i] for i in rng.permutation(len(singles))]
    return sorted(drawn, key=lambda single: -np.nan_to_num(single.utility))


def team(pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> list[Expert]:
    """As many experts as the recipe has nodes, those that are best alone, the best first."""
    return [single.system.experts[0] for single in ranked_alone(pool, evaluator, rng)[: evaluator.nodes]]


def group(pool: ExpertPool) -> list[int]:
    """The positions of the largest set of experts whose weights can be added (the whole pool, unless it is mixed)."""
    sizes = [len(places) for places in pool.groups]
    return list(pool.groups[sizes.index(max(sizes))])


def best_of(evaluator: Evaluator, systems: Sequence[System], step: str) -> System:
    """The best of `systems` on dev (ties: the first)."""
    return max(evaluator.evaluate(systems, step), key=lambda found: np.nan_to_num(found.utility)).system


def ending_in(size: int, edges: set[tuple[int, int]], sink: int) -> Topology:
    """The topology of acyclic `edges` in which every other node without a successor gets an edge to `sink`."""
    speaking = {u for u, _ in edges}
    return Topology.of(size, edges | {(u, sink) for u in range(size) if u != sink and u not in speaking})
