"""Answers the questions of many clients at once.

One thread gathers the ready calls of all questions in flight, whatever their node or system; identical calls are made
once. It hands the engine the longest of the batches that the engine proposes, unless a call has waited for
several; then it gathers again, so that calls that arrived meanwhile are in the next batch. It knows nothing of HTTP.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal, NamedTuple

from hswarm.engines.base import Completion, Engine, Request, Sampling, StreamingEngine
from hswarm.errors import HSwarmError
from hswarm.system.execution import Execution, Plan
from hswarm.system.system import System
from hswarm.tasks.task import Example

_PATIENCE = 4  # batches that may go before a ready call
FRESH = -1  # the seed of a call that is sampled afresh each time
_log = logging.getLogger("hswarm")


class Busy(HSwarmError):
    """No more questions are accepted now."""


class Event(NamedTuple):
    """An event at a node; `text` is its whole reply so far. "failed" ends a question, and `text` says why."""

    kind: Literal["started", "text", "done", "failed"]
    node: int
    text: str = ""


class Ask:
    """A question in flight in a system. `last` is the sampling of the sink, `sampling` that of the other nodes.

    If the system has a seed for each node, it is added to the request's, so samples of one expert stay different.
    """

    def __init__(
        self,
        system: System,
        question: str,
        sampling: Sampling,
        last: Sampling,
        tell: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.system, self.tell, self.ended = system, tell, False
        nodes = range(system.topology.size)
        drawn = [_at(system, node, last if node == system.topology.sink else sampling) for node in nodes]
        self._execution = Execution(Plan(system, drawn), Example(id="", question=question, answer=""))
        self.ready_at: dict[int, int] = {}
        self._requests: dict[int, Request] = {}

    @property
    def replies(self) -> dict[int, Completion]:
        """The replies so far, by node."""
        return {node: reply for node, reply in enumerate(self._execution.replies) if reply is not None}

    def ready(self) -> list[int]:
        """Nodes whose calls can be made now."""
        return self._execution.ready()

    def request(self, node: int) -> Request:
        """The call of a node that is ready or has replied."""
        if node not in self._requests:
            self._requests[node] = self._execution.request(node)
        return self._requests[node]

    def prompt(self, node: int) -> str:
        """The prompt of a node; "" if it calls no model."""
        return self.request(node).prompt if node in self._execution.plan.calling else ""

    def reply(self, node: int, completion: Completion) -> None:
        """Record the reply of a node; the sink's ends the question."""
        if self.ended:
            return
        if completion.finish == "failed":
            self.fail(f"node {node} ({self.system.experts[node].name}) gave no reply")
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


class Call(NamedTuple):
    """A call: a ready node of a question."""

    ask: Ask
    node: int

    @property
    def request(self) -> Request:
        return self.ask.request(self.node)


@dataclass
class Batcher:
    """Runs an engine in a thread of its own. `watch(calls, completions, seconds)` is called after every batch."""

    engine: Engine
    limit: int = 256
    watch: Callable[[int, Sequence[Completion], float], None] = lambda calls, completions, seconds: None

    def __post_init__(self) -> None:
        self._asks: list[Ask] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._batches = 0
        self._draws = count(time.time_ns() % 2**31)
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def in_flight(self) -> int:
        """Questions in flight."""
        return len(self._asks)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def submit(self, asks: Sequence[Ask]) -> None:
        """Accept all of `asks` or none: Busy if more than `limit` would be in flight, or after `stop`."""
        with self._changed:
            if self._stopping:
                raise Busy("the server is stopping; ask again in a moment")
            if len(self._asks) + len(asks) > self.limit:
                raise Busy(f"{len(self._asks)} questions are under way, the limit is {self.limit}; ask again later")
            self._asks += asks
            self._changed.notify()

    def cancel(self, asks: Sequence[Ask]) -> None:
        """Make no more calls for `asks`; a batch already with the engine is finished."""
        for ask in asks:
            ask.ended = True
        with self._changed:
            self._asks = [ask for ask in self._asks if not ask.ended]

    def stop(self) -> None:
        """Finish the questions in flight, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while calls := self._gather():
            try:
                groups = self._choose(calls)
            except Exception as fault:  # whatever an engine raises ends these questions, not the server
                _end(calls, fault)
            else:
                self._answer(groups)

    def _gather(self) -> list[Call]:
        """All ready calls, as soon as there are any; none when stopped and done."""
        with self._changed:
            while True:
                self._asks = [ask for ask in self._asks if not ask.ended]
                if self._asks or self._stopping:
                    break
                self._changed.wait()
            asks = list(self._asks)
        calls = [Call(ask, node) for ask in asks for node in ask.ready()]
        for call in calls:
            call.ask.ready_at.setdefault(call.node, self._batches)
        return calls

    def _choose(self, calls: Sequence[Call]) -> list[list[Call]]:
        """The calls of the next batch, identical ones grouped."""
        groups: dict[object, list[Call]] = {}
        for call in calls:
            request = call.request
            fresh = id(call.ask) if request.sampling.temperature and request.sampling.seed == FRESH else 0
            key = (request.expert.digest, request.prompt, request.sampling, fresh, call.node if fresh else 0)
            groups.setdefault(key, []).append(call)
        distinct = list(groups.values())
        batches = self.engine.batches([group[0].request for group in distinct])
        since = [
            min(call.ask.ready_at[call.node] for group in batch for call in group)
            for batch in ([distinct[i] for i in batch] for batch in batches)
        ]
        best = max(
            range(len(batches)),
            key=lambda i: (max(0, self._batches - since[i] - _PATIENCE), len(batches[i]), -since[i]),
        )
        return [distinct[i] for i in batches[best]]

    def _answer(self, groups: Sequence[Sequence[Call]]) -> None:
        self._batches += 1
        seed = next(self._draws)
        requests = [_drawn(group[0], seed) for group in groups]
        for call in (call for group in groups for call in group):
            call.ask.tell(Event("started", call.node))
        try:
            self._make(requests, groups)
        except Exception as fault:
            if len(groups) == 1:
                _end(groups[0], fault)
                return
            _log.warning("a batch of %d calls failed (%r); they are tried one at a time", len(groups), fault)
            for request, group in zip(requests, groups, strict=True):
                self._alone(request, group)

    def _alone(self, request: Request, group: Sequence[Call]) -> None:
        """Retry one call of a failed batch: the call at fault ends its question, the others go on."""
        if all(call.ask.ended for call in group):
            return
        try:
            self._make([request], [group])
        except Exception as fault:
            _end(group, fault)

    def _make(self, requests: Sequence[Request], groups: Sequence[Sequence[Call]]) -> None:
        began = time.perf_counter()
        completions = self._generate(requests, groups)
        self.watch(sum(map(len, groups)), completions, time.perf_counter() - began)
        for group, completion in zip(groups, completions, strict=True):
            for call in group:
                call.ask.reply(call.node, completion)

    def _generate(self, requests: Sequence[Request], groups: Sequence[Sequence[Call]]) -> list[Completion]:
        if not isinstance(self.engine, StreamingEngine):
            return self.engine.generate(requests)

        def tell(position: int, text: str) -> None:
            for call in groups[position]:
                if not call.ask.ended:
                    call.ask.tell(Event("text", call.node, text))

        return self.engine.stream(requests, tell)


def _end(calls: Sequence[Call], fault: Exception) -> None:
    """End the questions of `calls`, whose engine raised `fault`."""
    _log.error("a call failed", exc_info=fault)
    reason = str(fault) if isinstance(fault, HSwarmError) else type(fault).__name__
    for call in calls:
        call.ask.fail(f"the engine failed: {reason}")


def _at(system: System, node: int, sampling: Sampling) -> Sampling:
    """The sampling of `node`: FRESH stays FRESH, any other seed is shifted by the node's own seed."""
    if sampling.seed == FRESH or not system.seeds:
        return sampling
    return replace(sampling, seed=abs(sampling.seed + system.seeds[node] - system.sampling.seed))


def _drawn(call: Call, seed: int) -> Request:
    """The call with a seed from its batch, if it is FRESH; a system's seeds keep the samples of its nodes apart."""
    request = call.request
    if request.sampling.seed != FRESH:
        return request
    own = call.ask.system.seeds[call.node] if call.ask.system.seeds else 0
    return replace(request, sampling=replace(request.sampling, seed=seed + own))
