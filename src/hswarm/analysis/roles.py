"""What each node does (arXiv 2502.04510, section 5): by what it changes, and by a judge's word where there is a judge.

A node's reply is scored as if it were the answer, and so is what it heard. "Ignores" is seen by asking the node's
expert without the others' words: the same answer, and not one of those heard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hswarm.analysis.context import AnalysisContext, analysis
from hswarm.analysis.judged import LABELS, judge_nodes
from hswarm.analysis.result import AnalysisResult, Table
from hswarm.core.topology import Topology
from hswarm.plots.graph import graph_svg
from hswarm.scorers.ballots import ballots
from hswarm.scorers.base import SOLVED
from hswarm.system.system import System
from hswarm.tasks.task import Example

KINDS = ("wrong to right", "right to wrong", "repeats", "ignores", "changes", "begins")


@analysis("roles", "What each node makes of the replies that it reads", paper="arXiv 2502.04510")
def roles(subject: AnalysisContext, *, judged: int = 20) -> AnalysisResult:
    """Each node of the found system by what it does with the replies it reads, on test by default; then by position.

    A judge labels at most `judged` replies of a node."""
    system, split = subject.system, subject.split("test")
    topology = system.topology
    examples = subject.examples(split, 2 * system.calls)
    nodes, right, kinds = followed_nodes(subject, system, examples)
    shares = np.array([[row.count(kind) / len(row) for kind in KINDS] for row in kinds])
    places = [position(topology, node) for node in range(topology.size)]
    tables = [_by_node(topology, system.assignment, places, right, shares), _by_position(places, KINDS, shares)]
    usual = [KINDS[int(k)] for k in shares.argmax(axis=1)]
    numbers: dict[str, object] = {
        "split": split,
        "questions": len(examples),
        "kinds": list(KINDS),
        "positions": places,
        "shares": shares.tolist(),
        "right": right.mean(axis=1).tolist(),
    }
    says = [*_says(kinds, len(examples), split)]
    if subject.options.judge:
        told = judge_nodes(subject, topology, examples, nodes, judged)
        tables.append(_by_position(places, LABELS, told.shares))
        usual = [LABELS[int(k)] for k in told.shares.argmax(axis=1)]
        says.append(f"the judge labelled {told.labelled} of {told.asked} replies; the graph shows its usual label")
        numbers["judged"] = {"labels": list(LABELS), "shares": told.shares.tolist(), "unread": told.unread}
    picture = graph_svg(topology, system.assignment, usual)
    return AnalysisResult("roles", "Roles of nodes", tuple(says), tuple(tables), picture, numbers, subject.spent())


class Followed(NamedTuple):
    """Replies of a system's nodes as [node][example], whether each is right (nodes, examples), and what it does, one of
    KINDS, as [node][example]."""

    nodes: list[list[str]]
    right: NDArray[np.bool_]
    kinds: list[list[str]]


def followed_nodes(
    subject: AnalysisContext, system: System, examples: Sequence[Example], what: str = "nodes"
) -> Followed:
    """Ask `system`, and each of its nodes without predecessors."""
    nodes = [[reply.text for reply in replies] for replies in subject.respond([system], examples, what)[0]]
    solo = subject.respond([subject.system.alone(node) for node in system.nodes], examples, f"{what} alone")
    right = np.array([subject.rate(examples, replies, f"{what} {v}") >= SOLVED for v, replies in enumerate(nodes)])
    alone = [[reply.text for reply in replies[0]] for replies in solo]
    kinds = [effects(system.topology, v, nodes, alone[v], right, examples) for v in range(system.topology.size)]
    return Followed(nodes, right, kinds)


def effects(
    topology: Topology,
    node: int,
    nodes: Sequence[Sequence[str]],
    alone: Sequence[str],
    right: NDArray[np.bool_],
    examples: Sequence[Example],
) -> list[str]:
    """What `node` does on each example, one of KINDS; the first that fits, in their order.

    `nodes` are replies as [node][example], `alone` those of the node's expert without predecessors, `right` (nodes,
    examples). "Right" before the node is any predecessor's reply being right.
    """
    heard = topology.predecessors(node)
    if not heard:
        return ["begins"] * len(examples)
    found = []
    for e, example in enumerate(examples):
        texts = [nodes[node][e], alone[e], *(nodes[u][e] for u in heard)]
        said, unprompted, *others = ballots(example, texts)
        before = bool(right[list(heard), e].any())
        if right[node, e] != before:
            found.append("right to wrong" if before else "wrong to right")
        elif said in others:
            found.append("repeats")
        else:
            found.append("ignores" if said == unprompted else "changes")
    return found


def position(topology: Topology, node: int) -> str:
    """Where a node stands: last, branches (to several), first, converges (from several) or passes on."""
    if node == topology.sink:
        return "last"
    if sum(u == node for u, _ in topology.edges) > 1:
        return "branches"
    heard = len(topology.predecessors(node))
    return "first" if not heard else "converges" if heard > 1 else "passes on"


def _says(kinds: Sequence[Sequence[str]], questions: int, split: str) -> list[str]:
    counts = Counter(kind for row in kinds for kind in row)
    hearing = sum(counts[kind] for kind in KINDS if kind != "begins")
    first = f"on {questions} {split} questions, {hearing} replies of nodes that hear others: "
    listed = ", ".join(f"{kind} {counts[kind] / hearing:.0%}" for kind in KINDS[:-1]) if hearing else "none"
    return [
        first + listed,
        f"nodes mend {counts['wrong to right']} wrong answers and spoil {counts['right to wrong']} right ones",
    ]


def _by_node(
    topology: Topology,
    names: Sequence[str],
    places: Sequence[str],
    right: NDArray[np.bool_],
    shares: NDArray[np.float64],
) -> Table:
    rows = []
    for node in topology.order:
        heard = list(topology.predecessors(node))
        before = f"{right[heard].any(axis=0).mean():.3f}" if heard else ""
        listed = ", ".join(str(other + 1) for other in heard) or "nobody"
        rows.append(
            (
                str(node + 1),
                names[node],
                places[node],
                listed,
                before,
                f"{right[node].mean():.3f}",
                *(f"{share:.0%}" for share in shares[node][:-1]),
            )
        )
    head = ("node", "expert", "position", "reads", "right before", "right after", *KINDS[:-1])
    return Table("Each node, in the order in which they answer", head, tuple(rows))


def _by_position(places: Sequence[str], kinds: Sequence[str], shares: NDArray[np.float64]) -> Table:
    rows = []
    for place in dict.fromkeys(sorted(places, key=("first", "passes on", "branches", "converges", "last").index)):
        here = [node for node, other in enumerate(places) if other == place]
        rows.append((place, str(len(here)), *(f"{share:.0%}" for share in shares[here].mean(axis=0))))
    return Table("By position in the graph", ("position", "nodes", *kinds), tuple(rows))
