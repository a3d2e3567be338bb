"""The two halves of what a search found: its roles (graph and assignment) and its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from hswarm.analysis.context import AnalysisContext
from hswarm.analysis.replay import Scored
from hswarm.core.topology import Topology
from hswarm.experts.expert import Expert
from hswarm.system.system import System

Make = Callable[[Topology, Sequence[Expert]], System]


class Halves(NamedTuple):
    """Four systems: as the search began (the best of the first graphs), found roles with the pool's weights, found
    weights in the first roles, and both."""

    start: System
    roles: System
    weights: System
    both: System


def halves(subject: AnalysisContext, make: Make) -> Halves:
    """The four systems of a run, each put together by `make`."""
    pool = {expert.name: expert for expert in subject.session.pool.experts}
    moved = {**pool, **subject.replay.experts}
    first, found = first_best(subject.replay.scored), subject.system

    def system(topology: Topology, names: Sequence[str], experts: Mapping[str, Expert]) -> System:
        return make(topology, [experts[name] for name in names])

    return Halves(
        system(first.topology, first.assignment, pool),
        system(found.topology, found.assignment, pool),
        system(first.topology, first.assignment, moved),
        make(found.topology, found.experts),
    )


def first_best(scored: Sequence[Scored]) -> Scored:
    """The best of the first iteration's graphs; of equals the first."""
    graphs = [one for one in scored if one.iteration == 0 and one.kind == "role" and one.utility == one.utility]
    return max(graphs, key=lambda one: one.utility)
