"""A question in flight: its way through a system, told event by event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, NamedTuple

from hswarm.engines.base import Completion, Output, Request, Sampling
from hswarm.system.execution import Execution, Plan
from hswarm.system.system import System
from hswarm.tasks.task import Example

FRESH = -1  # the seed of a call that is sampled afresh each time


class Event(NamedTuple):
    """An event at a node; `text` is its whole reply so far. "failed" ends a question, and `text` says why."""

    kind: Literal["started", "text", "done", "failed"]
    node: int
    text: str = ""


class Ask:
    """A question in flight in a system: `last` is for the nodes that may answer, `sampling` for the others, `output`
    for the sink.

    If the system has a seed for each node, it is added to the request's, so samples of one expert stay different.
    """

    def __init__(
        self,
        system: System,
        question: str,
        sampling: Sampling,
        last: Sampling,
        tell: Callable[[Event], None] = lambda event: None,
        output: Output | None = None,
    ) -> None:
        self.system, self.tell, self.ended = system, tell, False
        self.output = output or Output()
        self.client, self.request_id = "", 0
        nodes = range(system.topology.size)
        drawn = [_at(system, node, last if node in system.ends else sampling) for node in nodes]
        self._execution = Execution(Plan(system, drawn), Example(id="", question=question, answer=""))
        self.ready_at: dict[int, int] = {}
        self.asked: set[int] = set()  # nodes whose calls an engine has
        self._requests: dict[int, Request] = {}

    @property
    def replies(self) -> dict[int, Completion]:
        """The replies so far, by node."""
        return {node: reply for node, reply in enumerate(self._execution.replies) if reply is not None}

    def ready(self) -> list[int]:
        """Nodes whose calls can be made now and are not being made."""
        return [node for node in self._execution.ready() if node not in self.asked]

    def request(self, node: int) -> Request:
        """The call of a node that is ready or has replied."""
        if node not in self._requests:
            request = self._execution.request(node)
            self._requests[node] = (
                replace(request, output=self.output) if node == self.system.topology.sink else request
            )
        return self._requests[node]

    def prompt(self, node: int) -> str:
        """The prompt of a node; "" if it calls no model."""
        return self.request(node).prompt if node in self._execution.plan.calling else ""

    def reply(self, node: int, completion: Completion) -> None:
        """Record the reply of a node; the sink's ends the question."""
        if self.ended:
            return
        if completion.finish == "failed":
            self.fail(f"node {node + 1} ({self.system.nodes[node].name}) gave no reply")
            return
        done = [(node, completion)] + [(other, self.replies[other]) for other in self._execution.tell(node, completion)]
        self.ended = self._execution.answer is not None
        for other, reply in done:
            self.tell(Event("done", other, reply.text))

    def fail(self, reason: str) -> None:
        """End the question without an answer, unless it has ended."""
        if self.ended:
            return
        self.ended = True
        self.tell(Event("failed", self.system.topology.sink, reason))

    @property
    def answer(self) -> Completion:
        """The sink's reply; the question must have ended with one."""
        answer = self._execution.answer
        assert answer is not None, "the question has no answer yet"
        return answer


def _at(system: System, node: int, sampling: Sampling) -> Sampling:
    """The sampling of `node`: FRESH stays FRESH, any other seed is shifted by the node's own seed."""
    if sampling.seed == FRESH or not system.seeds:
        return sampling
    return replace(sampling, seed=abs(sampling.seed + system.seeds[node] - system.sampling.seed))
