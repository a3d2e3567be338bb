"""The questions of one request, followed from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from hswarm.server.ask import Ask, Event
from hswarm.server.batcher import Batcher, Busy
from hswarm.server.errors import ApiFault
from hswarm.server.schema import AskRequest, Limits
from hswarm.system.system import System


class Job:
    """The questions of one request, submitted for `client` on creation; ApiFault (429) if the queue is full."""

    def __init__(self, batcher: Batcher, system: System, body: AskRequest, limits: Limits, client: str = "") -> None:
        self._batcher, self._limit = batcher, limits.seconds
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._deadline = self._began + limits.seconds
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        self.asks = [
            Ask(system, question, *body.samplings(system.sampling, limits, i), self._teller(i), body.output)
            for i, question in enumerate(body.questions())
        ]
        try:
            batcher.submit(self.asks, client)
        except Busy as busy:
            raise ApiFault(429, str(busy)) from busy

    @property
    def seconds(self) -> float:
        """Seconds since the questions were submitted."""
        return self._loop.time() - self._began

    def _teller(self, i: int) -> Callable[[Event], None]:
        def tell(event: Event) -> None:
            self._loop.call_soon_threadsafe(self._events.put_nowait, (i, event))

        return tell

    async def events(self) -> AsyncIterator[tuple[int, Event]]:
        """The events until every question is answered. ApiFault if one fails or time is up."""
        left = len(self.asks)
        while left:
            try:
                async with asyncio.timeout_at(self._deadline):
                    i, event = await self._events.get()
            except TimeoutError:
                raise ApiFault(
                    504,
                    f"no complete answer within {self._limit:g} s; ask for fewer new tokens, or raise --timeout",
                    code="timeout",
                ) from None
            if event.kind == "failed":
                raise ApiFault(500, event.text)
            if event.kind == "done":
                _check_room(self.asks[i], event.node)
            yield i, event
            left -= event.kind == "done" and event.node == self.asks[i].system.topology.sink

    async def whole(self) -> None:
        """Wait for all answers."""
        async for _ in self.events():
            pass

    def close(self) -> None:
        """Drop the calls that have not started."""
        self._batcher.cancel(self.asks)


def _check_room(ask: Ask, node: int) -> None:
    """ApiFault (400) if the prompt of `node` left no room for a reply: the engine then gives an empty one, cut off."""
    reply = ask.replies[node]
    if reply.finish == "length" and not reply.text and not reply.completion_tokens:
        name = ask.system.nodes[node].name
        raise ApiFault(
            400,
            f"node {node + 1} ({name}) would read {reply.prompt_tokens} tokens, which leaves no room for a reply in "
            "its context; shorten the question",
            code="context_length_exceeded",
        )
