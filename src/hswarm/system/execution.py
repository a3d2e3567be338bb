"""One question's way through a system: the calls needed, the prompt of each, and what the replies make ready.

Shared by the executor (many systems and questions, stage by stage) and the server (live questions): both
ask an Execution for its calls and tell it the replies. It makes no call itself and knows no engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from hswarm.core.topology import Topology
from hswarm.engines.base import Completion, Request, Sampling
from hswarm.experts.expert import Node
from hswarm.experts.fusion import Callee
from hswarm.experts.tool import ToolExpert
from hswarm.prompts import Place, Prompts, spoken
from hswarm.system.route import Route
from hswarm.system.rules import Rule, Vote
from hswarm.tasks.task import Example


class Wiring(Protocol):
    """What is needed of a System (system.py) to carry questions through it."""

    @property
    def topology(self) -> Topology: ...
    @property
    def nodes(self) -> Sequence[Node]: ...
    @property
    def ends(self) -> tuple[int, ...]: ...
    @property
    def prompts(self) -> Prompts: ...
    def sampling_at(self, node: int) -> Sampling: ...


class Plan:
    """The data that all executions of one system share, computed once, since there may be millions of calls.

    `calling` are the nodes that call an expert or a fusion, in topological order; `ruled` reply by a rule. `ends` are
    the nodes that may answer, the sink or those that a `route` there chooses among, `below` the nodes each needs.
    `samplings`, one a node, replace the system's own.
    """

    def __init__(self, system: Wiring, samplings: Sequence[Sampling] | None = None) -> None:
        topology, nodes = system.topology, range(system.topology.size)
        self.system = system
        self.samplings = tuple(samplings or map(system.sampling_at, nodes))
        self.predecessors = tuple(map(topology.predecessors, nodes))
        last = system.nodes[topology.sink]
        self.route = last if isinstance(last, Route) else None
        self.ends = system.ends
        self.places = tuple(_place(bool(self.predecessors[node]), node in self.ends) for node in nodes)
        held = {node: system.nodes[node] for node in topology.order}
        self.calling = {node: found for node, found in held.items() if isinstance(found, Callee)}
        ruled = {node: found for node, found in held.items() if isinstance(found, Rule)}
        self.ruled = {node: found for node, found in ruled.items() if found is not self.route}
        self.below = {end: topology.ancestors(end) for end in self.ends}
        readers = [node for node, found in held.items() if not isinstance(found, Vote | Route | ToolExpert)]
        self.readers = {node: place for place, node in enumerate(readers)}


class Execution:
    """One question on its way through a system: `replies`, by node, are None until they arrive."""

    __slots__ = ("_end", "example", "plan", "replies")

    def __init__(self, plan: Plan, example: Example) -> None:
        self.plan, self.example = plan, example
        self.replies: list[Completion | None] = [None] * plan.system.topology.size
        self._end: int | None = None if plan.route else plan.ends[0]  # the node that is to answer now
        if plan.ruled or plan.route:
            self._settle()

    @property
    def answer(self) -> Completion | None:
        """The sink's reply, or None until it arrives."""
        return self.replies[self.plan.system.topology.sink]

    def ready(self) -> list[int]:
        """The nodes whose calls can be made now: those without a reply whose predecessors all have one."""
        return [node for node in self.plan.calling if self.is_ready(node)]

    def is_ready(self, node: int) -> bool:
        """Whether the call of a node can be made now, and is needed for the one that is to answer now."""
        needed = self._end is not None and node in self.plan.below[self._end]
        return needed and self.replies[node] is None and self._heard(node) is not None

    def request(self, node: int) -> Request:
        """The call of a ready node. Only a node that answers chooses among a question's options."""
        system, example = self.plan.system, self.example
        heard = self._heard(node)
        assert heard is not None, f"node {node} is not ready"
        callee = self.plan.calling[node]
        if isinstance(callee, ToolExpert):
            said = [spoken(reply.text, example.question) for reply in heard]
            return Request(callee, callee.given(example.question, said), Sampling())
        chunk = _chunk(example.context, self.plan.readers[node], len(self.plan.readers))
        prompt = system.prompts.render(example, [reply.text for reply in heard], self.plan.places[node], chunk=chunk)
        sampling = self.plan.samplings[node].within(example.max_new_tokens)
        if system.prompts.thinking:
            sampling = replace(sampling, thinking=True)
        if sampling.choose and example.choices and node in self.plan.ends:
            return Request(callee, prompt, sampling, tuple(example.choices.items()))
        return Request(callee, prompt, replace(sampling, choose="") if sampling.choose else sampling)

    def tell(self, node: int, reply: Completion) -> list[int]:
        """Record the reply of `node`; returns the nodes that could then reply without a call."""
        self.replies[node] = reply
        return self._settle() if self.plan.ruled or self.plan.route else []

    def _heard(self, node: int) -> list[Completion] | None:
        """The replies of the predecessors of `node`, in ascending order; None while one is missing."""
        heard = [reply for u in self.plan.predecessors[node] if (reply := self.replies[u]) is not None]
        return heard if len(heard) == len(self.plan.predecessors[node]) else None

    def _settle(self) -> list[int]:
        settled = []
        for node, rule in self.plan.ruled.items():  # in the topology's order, so one pass reaches votes on votes
            if self.replies[node] is None and (heard := self._heard(node)) is not None:
                self.replies[node] = rule.reply(self.example, heard)
                settled.append(node)
        return [*settled, *(self._go_on(self.plan.route) if self.plan.route else ())]

    def _go_on(self, route: Route) -> list[int]:
        """Let the route choose who is to answer next, or answer: [the sink] then."""
        sink, held = self.plan.system.topology.sink, self.plan.system.nodes
        if self.replies[sink] is not None or (self._end is not None and self.replies[self._end] is None):
            return []
        heard = [self.replies[end] for end in self.plan.ends]
        missing = ([node for node in self.plan.below[end] if self.replies[node] is None] for end in self.plan.ends)
        chosen = route.next(self.example, heard, [sum(held[node].calls for node in part) for part in missing])
        if chosen is not None:
            self._end = self.plan.ends[chosen]
            return []
        self.replies[sink] = route.reply(self.example, heard)
        return [sink]


def _place(reads: bool, sink: bool) -> Place:
    """Where a node stands: whether it `reads` responses of others, whether it is the sink."""
    if sink:
        return "sink" if reads else "alone"
    return "middle" if reads else "first"


def _chunk(context: Sequence[str], place: int, nodes: int) -> str:
    """The share of the node at `place`: chunks are dealt out in turn; where there are fewer than nodes they repeat."""
    if not context:
        return ""
    return "\n".join(chunk for chunk in context[place::nodes] or [context[place % len(context)]] if chunk)
