"""Answers the questions of many clients at once.

One thread for each engine gathers the ready calls of all questions in flight, whatever their node or system, of those
whose turn it is (turns.py); identical calls are made once. It hands its engine the longest of the batches that the
engine proposes, unless a call has waited for several; then it gathers again, so that calls that arrived meanwhile are
in the next batch. A long prompt is never in a batch with short ones, which would wait for it. It knows nothing of HTTP.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import NamedTuple

from hswarm.engines.base import Completion, Engine, Request, StreamingEngine
from hswarm.errors import HSwarmError
from hswarm.server.ask import FRESH, Ask, Event
from hswarm.server.turns import Turns

_PATIENCE = 4  # batches that may go before a ready call
_TIMES, _MORE = 4, 1000  # a prompt that is longer than another by this factor and so many characters is apart from it
_PAUSE = 0.05  # seconds in which who was just answered may ask again before a call that is far ahead is made
_MOST = 8  # calls of one request in a batch, while other requests wait
_log = logging.getLogger("hswarm")


class Busy(HSwarmError):
    """No more questions are accepted now."""


class Call(NamedTuple):
    """A call: a ready node of a question."""

    ask: Ask
    node: int

    @property
    def request(self) -> Request:
        return self.ask.request(self.node)


@dataclass
class Batcher:
    """Runs each of `engines` in its own thread. `watch(calls, completions, seconds)` is called after every batch."""

    engines: Sequence[Engine]
    limit: int = 256
    watch: Callable[[int, Sequence[Completion], float], None] = lambda calls, completions, seconds: None

    def __post_init__(self) -> None:
        self._asks: list[Ask] = []
        self._changed, self._choosing = threading.Condition(), threading.Lock()
        self._stopping = False
        self._batches = 0
        self._draws, self._requests = count(time.time_ns() % 2**31), count()
        self._clients, self._requests_of = Turns(), dict[str, Turns]()
        self._left = 0.0  # when a question ended
        self._threads = [
            threading.Thread(target=self._work, args=(engine,), name=f"batcher {i}", daemon=True)
            for i, engine in enumerate(self.engines)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def in_flight(self) -> int:
        """Questions in flight."""
        return len(self._asks)

    @property
    def alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def submit(self, asks: Sequence[Ask], client: str = "") -> None:
        """Accept all of `asks`, one request of `client`, or none.

        Busy if more than `limit` would be in flight, or after `stop`.
        """
        with self._changed:
            if self._stopping:
                raise Busy("the server is stopping; ask again in a moment")
            if len(self._asks) + len(asks) > self.limit:
                raise Busy(f"{len(self._asks)} questions are under way, the limit is {self.limit}; ask again later")
            number = next(self._requests)
            self._clients.join(client)
            self._requests_of.setdefault(client, Turns()).join(number)
            for ask in asks:
                ask.client, ask.request_id = client, number
            self._asks += asks
            self._changed.notify_all()

    def cancel(self, asks: Sequence[Ask]) -> None:
        """Make no more calls for `asks`; a batch already with the engine is finished."""
        for ask in asks:
            ask.ended = True
        with self._changed:
            self._drop_ended()
            self._changed.notify_all()

    def stop(self) -> None:
        """Finish the questions in flight, then end the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _drop_ended(self) -> None:
        ended = {(ask.client, ask.request_id) for ask in self._asks if ask.ended}
        if not ended:
            return
        self._left = time.monotonic()
        self._asks = [ask for ask in self._asks if not ask.ended]
        for client, number in ended - {(ask.client, ask.request_id) for ask in self._asks}:
            self._requests_of[client].leave(number)
        for client in {client for client, _ in ended} - {ask.client for ask in self._asks}:
            self._clients.leave(client)
            del self._requests_of[client]
        if not self._asks:
            self._clients = Turns()

    def _work(self, engine: Engine) -> None:
        while True:
            with self._choosing:
                calls = self._gather()
                if not calls:
                    return
                try:
                    groups = self._choose(engine, calls)
                except Exception as fault:  # whatever an engine raises ends these questions, not the server
                    _end(calls, fault)
                    continue
                self._batches += 1
                for call in (call for group in groups for call in group):
                    call.ask.asked.add(call.node)
            try:
                self._answer(engine, groups)
            finally:
                with self._changed:
                    self._changed.notify_all()

    def _gather(self) -> list[Call]:
        """The ready calls whose turn it is, as soon as there are any; none when stopped and done."""
        with self._changed:
            while True:
                self._drop_ended()
                waiting: dict[str, list[Call]] = {}
                for ask in self._asks:
                    waiting.setdefault(ask.client, []).extend(Call(ask, node) for node in ask.ready())
                waiting = {client: calls for client, calls in waiting.items() if calls}
                if not waiting and self._stopping and not self._asks:
                    return []
                pause = self._pause(waiting)
                if waiting and not pause:
                    break
                self._changed.wait(pause)
            for call in chain.from_iterable(waiting.values()):
                call.ask.ready_at.setdefault(call.node, self._batches)
            return self._due(waiting)

    def _pause(self, waiting: Mapping[str, Sequence[Call]]) -> float | None:
        """Seconds in which clients that were just answered may ask again; None if there is nobody to wait for.

        Otherwise a client that asks one question after another would find the engine at a long call each time.
        """
        left = self._left + _PAUSE - time.monotonic()
        if not waiting or left <= 0 or self._stopping:
            return None
        ahead = self._clients.ahead(waiting) or all(
            self._requests_of[client].ahead({call.ask.request_id for call in calls})
            for client, calls in waiting.items()
        )
        return left if ahead else None

    def _due(self, waiting: Mapping[str, Sequence[Call]]) -> list[Call]:
        """The calls of the clients and requests whose turn it is; of each request a few, if there are several."""
        due: list[Call] = []
        for client in self._clients.due(waiting):
            calls, turns = waiting[str(client)], self._requests_of[str(client)]
            requests = {call.ask.request_id for call in calls}
            now = turns.due(requests)
            turns.serve(requests)
            due += [call for call in calls if call.ask.request_id in now]
        self._clients.serve(waiting)
        if len({call.ask.request_id for call in due}) == 1:
            return due
        before: Counter[int] = Counter()
        few = []
        for call in due:
            before[call.ask.request_id] += 1
            if before[call.ask.request_id] <= _MOST:
                few.append(call)
        return few

    def _choose(self, engine: Engine, calls: Sequence[Call]) -> list[list[Call]]:
        """The calls of the next batch, identical ones grouped."""
        groups: dict[object, list[Call]] = {}
        for call in calls:
            request = call.request
            fresh = id(call.ask) if request.sampling.temperature and request.sampling.seed == FRESH else 0
            one = call.node if fresh else 0
            key = (request.expert.digest, request.prompt, request.sampling, request.output, fresh, one)
            groups.setdefault(key, []).append(call)
        distinct = list(groups.values())
        proposed = engine.batches([group[0].request for group in distinct])
        batches = [part for batch in proposed for part in _by_length([distinct[i] for i in batch])]

        def rank(batch: list[list[Call]]) -> tuple[int, int, int]:
            since = min(call.ask.ready_at[call.node] for group in batch for call in group)
            return max(0, self._batches - since - _PATIENCE), len(batch), -since

        return max(batches, key=rank)

    def _answer(self, engine: Engine, groups: Sequence[Sequence[Call]]) -> None:
        seed = next(self._draws)
        requests = [_drawn(group[0], seed) for group in groups]
        for call in (call for group in groups for call in group):
            call.ask.tell(Event("started", call.node))
        try:
            self._make(engine, requests, groups)
        except Exception as fault:
            if len(groups) == 1:
                _end(groups[0], fault)
                return
            _log.warning("a batch of %d calls failed (%r); they are tried one at a time", len(groups), fault)
            for request, group in zip(requests, groups, strict=True):
                self._alone(engine, request, group)

    def _alone(self, engine: Engine, request: Request, group: Sequence[Call]) -> None:
        """Retry one call of a failed batch: the call at fault ends its question, the others go on."""
        if all(call.ask.ended for call in group):
            return
        try:
            self._make(engine, [request], [group])
        except Exception as fault:
            _end(group, fault)

    def _make(self, engine: Engine, requests: Sequence[Request], groups: Sequence[Sequence[Call]]) -> None:
        began = time.perf_counter()
        try:
            completions = self._generate(engine, requests, groups)
        finally:
            seconds = time.perf_counter() - began
            self._charge(groups, seconds)
        self.watch(sum(map(len, groups)), completions, seconds)
        with self._changed:  # a question may have calls with two engines
            for group, completion in zip(groups, completions, strict=True):
                for call in group:
                    call.ask.reply(call.node, completion)

    def _charge(self, groups: Sequence[Sequence[Call]], seconds: float) -> None:
        """Charge the seconds of a batch to its requests and their clients, by the length of their prompts."""
        whole = sum(len(group[0].request.prompt) + 1 for group in groups)
        with self._changed:
            for call, among in ((call, len(group)) for group in groups for call in group):
                share = seconds * (len(call.request.prompt) + 1) / whole / among
                self._clients.charge(call.ask.client, share)
                if not call.ask.ended:
                    self._requests_of[call.ask.client].charge(call.ask.request_id, share)

    def _generate(
        self, engine: Engine, requests: Sequence[Request], groups: Sequence[Sequence[Call]]
    ) -> list[Completion]:
        if not isinstance(engine, StreamingEngine):
            return engine.generate(requests)

        def tell(position: int, text: str) -> None:
            for call in groups[position]:
                if not call.ask.ended:
                    call.ask.tell(Event("text", call.node, text))

        return engine.stream(requests, tell)


def _by_length(batch: list[list[Call]]) -> list[list[list[Call]]]:
    """`batch` in parts, in which no prompt is so much longer than another that it would hold it up."""
    ordered = sorted(range(len(batch)), key=lambda i: len(batch[i][0].request.prompt))
    parts: list[list[int]] = []
    limit = -1
    for i in ordered:
        length = len(batch[i][0].request.prompt)
        if length > limit:
            parts.append([])
            limit = max(_TIMES * length, length + _MORE)
        parts[-1].append(i)
    return [[batch[i] for i in sorted(part)] for part in parts]  # in the engine's order


def _end(calls: Sequence[Call], fault: Exception) -> None:
    """End the questions of `calls`, whose engine raised `fault`."""
    _log.error("a call failed", exc_info=fault)
    reason = str(fault) if isinstance(fault, HSwarmError) else type(fault).__name__
    for call in calls:
        call.ask.fail(f"the engine failed: {reason}")


def _drawn(call: Call, seed: int) -> Request:
    """The call with a seed from its batch, if it is FRESH; a system's seeds keep the samples of its nodes apart."""
    request = call.request
    if request.sampling.seed != FRESH:
        return request
    own = call.ask.system.seeds[call.node] if call.ask.system.seeds else 0
    return replace(request, sampling=replace(request.sampling, seed=seed + own))
