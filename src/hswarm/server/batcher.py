"""Answers the questions of many clients at once.

One thread gathers the calls that are ready, of all questions in flight, whatever their node or system; equal ones are
one call. It hands the engine one of the batches that the engine asks for, the longest, unless a call has waited for
several; then it gathers again, so that whoever came meanwhile is in the next. Knows nothing of HTTP.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Literal, NamedTuple

from hswarm.engines.base import Completion, Engine, Request, Sampling, StreamingEngine
from hswarm.errors import HSwarmError
from hswarm.system.system import System
from hswarm.system.vote import agreed
from hswarm.tasks.task import Example

_PATIENCE = 4  # batches that a ready call lets others go first
FRESH = -1  # the seed of a call that is to be drawn anew each time
_log = logging.getLogger("hswarm")


class Busy(HSwarmError):
    """No more questions are taken now."""


class Event(NamedTuple):
    """What happened at a node; `text` is all that it has said so far. "failed" ends a question, `text` says why."""

    kind: Literal["started", "text", "done", "failed"]
    node: int
    text: str = ""


@dataclass(eq=False)
class Ask:
    """A question under way in a system. `last` is the sampling of the sink, `sampling` that of the other nodes."""

    system: System
    question: str
    sampling: Sampling
    last: Sampling
    tell: Callable[[Event], None] = lambda event: None
    replies: dict[int, Completion] = field(default_factory=dict)
    requests: dict[int, Request] = field(default_factory=dict)
    ready_at: dict[int, int] = field(default_factory=dict)
    ended: bool = False

    def ready(self) -> list[int]:
        """Nodes that have not answered and whose predecessors all have."""
        topology = self.system.topology
        return [
            node
            for node in topology.order
            if node not in self.replies and all(u in self.replies for u in topology.predecessors(node))
        ]

    def request(self, node: int) -> Request:
        """The call of a ready node."""
        if node not in self.requests:
            topology = self.system.topology
            responses = [self.replies[u].text for u in topology.predecessors(node)]
            prompt = self.system.prompts.render(Example(id="", question=self.question, answer=""), responses)
            sampling = self.last if node == topology.sink else self.sampling
            self.requests[node] = Request(self.system.experts[node], prompt, sampling)
        return self.requests[node]

    def reply(self, node: int, completion: Completion) -> None:
        """Take the reply of a node; the sink's ends the question."""
        if self.ended:
            return
        if completion.finish == "failed":
            self.fail(f"node {node} ({self.system.experts[node].name}) gave no reply")
            return
        self.replies[node] = completion
        sink = self.system.topology.sink
        answer = self._agreed() if node != sink else None
        if answer:
            self.replies[sink] = answer
        self.ended = sink in self.replies
        self.tell(Event("done", node, completion.text))
        if answer:
            self.tell(Event("done", sink, answer.text))

    def _agreed(self) -> Completion | None:
        """The answer, once all leaves have given it, if the system exits early then."""
        leaves = self.system.topology.stages[0]
        if not self.system.early_exit or not all(leaf in self.replies for leaf in leaves):
            return None
        asked = [(call.expert.digest, call.prompt, call.sampling) for call in map(self.request, leaves)]
        return agreed(Example(id="", question=self.question, answer=""), asked, [self.replies[leaf] for leaf in leaves])

    def fail(self, reason: str) -> None:
        """End the question without an answer, unless it has ended."""
        if self.ended:
            return
        self.ended = True
        self.tell(Event("failed", self.system.topology.sink, reason))

    @property
    def answer(self) -> Completion:
        """The sink's reply, once there."""
        return self.replies[self.system.topology.sink]


class Call(NamedTuple):
    """A ready node of a question."""

    ask: Ask
    node: int

    @property
    def request(self) -> Request:
        return self.ask.request(self.node)


@dataclass
class Batcher:
    """Runs an engine in a thread of its own. `watch(calls, completions, seconds)` hears of every batch."""

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
        """Questions under way."""
        return len(self._asks)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def submit(self, asks: Sequence[Ask]) -> None:
        """Take all of `asks`, or none: Busy if that were more than `limit` in flight, or after `stop`."""
        with self._changed:
            if self._stopping:
                raise Busy("the server is stopping; ask again in a moment")
            if len(self._asks) + len(asks) > self.limit:
                raise Busy(f"{len(self._asks)} questions are under way, the limit is {self.limit}; ask again later")
            self._asks += asks
            self._changed.notify()

    def cancel(self, asks: Sequence[Ask]) -> None:
        """Make no more calls for `asks`; a batch under way is finished."""
        for ask in asks:
            ask.ended = True
        with self._changed:
            self._asks = [ask for ask in self._asks if not ask.ended]

    def stop(self) -> None:
        """Finish what was begun, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while calls := self._gather():
            try:
                self._answer(self._choose(calls))
            except Exception as fault:  # whatever an engine raises ends these questions, not the server
                _log.exception("a batch failed")
                reason = str(fault) if isinstance(fault, HSwarmError) else type(fault).__name__
                for call in calls:
                    call.ask.fail(f"the engine failed: {reason}")

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
        """The calls of the next batch, equal ones together."""
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
        requests = [_drawn(group[0].request, seed) for group in groups]
        for call in (call for group in groups for call in group):
            call.ask.tell(Event("started", call.node))
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


def _drawn(request: Request, seed: int) -> Request:
    """`request` with a seed of its batch, if it is to be drawn anew."""
    if request.sampling.seed != FRESH:
        return request
    return replace(request, sampling=replace(request.sampling, seed=seed))
