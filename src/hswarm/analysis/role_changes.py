"""How roles change over a search's iterations (arXiv 2502.04510, section 5): what the nodes of the best system so far
do, each time there is a new one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from hswarm.analysis.context import AnalysisContext, analysis
from hswarm.analysis.judged import LABELS, judge_nodes
from hswarm.analysis.result import AnalysisResult, Table
from hswarm.analysis.roles import KINDS, followed_nodes
from hswarm.system.system import System

_SEEN = KINDS[:-1]  # nodes without predecessors always begin


class Reign(NamedTuple):
    """A system and the iterations, from 1, after which it was the best so far."""

    system: System
    first: int
    last: int

    @property
    def text(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


@analysis("role_changes", "How the roles of nodes change over the iterations", paper="arXiv 2502.04510")
def role_changes(subject: AnalysisContext, *, judged: int = 20) -> AnalysisResult:
    """The shares of what replies of nodes with predecessors do, for each best system so far, on dev by default; with a
    judge its labels too, of all nodes, for at most `judged` replies of each."""
    reigns, split = reigns_of(subject.replay.leaders), subject.split("dev")
    examples = subject.examples(split, sum(2 * reign.system.calls for reign in reigns))
    rows, labelled, numbers = [], [], []
    every: list[list[float]] = []
    for place, reign in enumerate(reigns):
        system, topology = reign.system, reign.system.topology
        found = followed_nodes(subject, system, examples, f"best {place}")
        counts = Counter(kind for row in found.kinds for kind in row)
        reading = sum(counts[kind] for kind in _SEEN)
        shares = [counts[kind] / reading if reading else 0.0 for kind in _SEEN]
        right = float(found.right[topology.sink].mean())
        rows.append((reign.text, f"{right:.3f}", str(len(topology.edges)), *(f"{share:.0%}" for share in shares)))
        every.append(shares)
        numbers.append({"iterations": [reign.first, reign.last], "right": right, "shares": shares})
        if subject.options.judge:
            made = judge_nodes(subject, topology, examples, found.nodes, judged).shares.mean(axis=0)
            labelled.append((reign.text, *(f"{share:.0%}" for share in made)))
    head = ("iterations", "right", "edges", *_SEEN)
    title = f"What replies of nodes with predecessors do, on {len(examples)} {split} questions"
    tables = [Table(title, head, tuple(rows))]
    if labelled:
        tables.append(Table("The judge's labels of all nodes", ("iterations", *LABELS), tuple(labelled)))
    changes = ", ".join(f"{kind} {a:.0%} to {b:.0%}" for kind, a, b in zip(_SEEN, every[0], every[-1], strict=True))
    says = (
        f"{len(reigns)} systems were the best so far in {reigns[-1].last} iterations",
        f"from the first to the last of them: {changes}",
    )
    return AnalysisResult(
        "role_changes",
        "Roles over iterations",
        says,
        tuple(tables),
        "",
        {"split": split, "kinds": list(_SEEN), "systems": numbers},
        subject.spent(),
    )


def reigns_of(leaders: Sequence[System]) -> list[Reign]:
    """The best systems so far, one an iteration, without repeats."""
    found: list[Reign] = []
    for iteration, system in enumerate(leaders, 1):
        if found and found[-1].system is system:
            found[-1] = found[-1]._replace(last=iteration)
        else:
            found.append(Reign(system, iteration, iteration))
    return found
