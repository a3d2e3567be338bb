"""The socket and its connections: uvicorn, with timeouts for clients that send or read nothing.

uvicorn closes a connection that is idle between two requests. This server also closes one that does not send a whole
request head in time, or does not read its reply; and when the process runs out of file descriptors, the connection
that has been idle longest. So requests are answered even while other clients hold connections open.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import time
from contextlib import suppress
from typing import NamedTuple

from hswarm.errors import MissingExtra, UserError

try:
    import uvicorn
    from starlette.types import ASGIApp
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as missing:
    raise MissingExtra("serving", "serve") from missing

_MOST = 1000  # connections
_SPARE = 16  # file descriptors for everything else
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\nretry-after: 1\r\n\r\n"
    b'{"error": {"message": "too many connections; try again", "type": "server_error", "param": null, '
    b'"code": null}}'
)
_log = logging.getLogger("hswarm")


class Patience(NamedTuple):
    """Seconds a connection may take to send a request's head, to read its reply, and to send the next request."""

    head: float = 10.0
    reader: float = 30.0
    rest: float = 30.0


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; UserError if it cannot be opened."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family)
    except OSError as fault:
        raise UserError(
            f"cannot listen on {host}:{port} ({fault.strerror}); choose another (--host, --port)"
        ) from fault
    # Accepted sockets inherit it. asyncio sets it only where the socket's protocol number is given, and create_server
    # gives none: then a reply's second packet waits 40 ms for the first one's acknowledgement.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def make_server(app: ASGIApp, *, grace: int, patience: Patience | None = None, most: int = 0) -> uvicorn.Server:
    """A server of `app`, run on sockets made by `listen`. On shutdown, replies in progress have `grace` seconds.

    At most `most` connections (0: as many as there are file descriptors for, and never above 1000).
    """
    room, patience = _room(), patience or Patience()
    settings = {"patience": patience, "most": most or max(4, min(_MOST, room * 3 // 4))}
    config = uvicorn.Config(
        app,
        http=type("Connection", (_Connection,), settings),
        ws="none",
        log_level="error",
        timeout_graceful_shutdown=grace,
        timeout_keep_alive=max(1, round(patience.rest)),
        backlog=max(4, min(128, room // 4)),  # this many may be accepted at once before any is refused
    )
    return _Server(config)


def _room() -> int:
    """How many more file descriptors this process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _MOST if hard == resource.RLIM_INFINITY else min(hard, 2 * _MOST)
    if 0 <= soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    used = len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 64
    return max(0, (2 * _MOST if soft < 0 else soft) - used - _SPARE)


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(_Quiet())
        await super().startup(sockets)


class _Quiet:
    """Logs once a minute that file descriptors have run out, instead of a traceback for each connection."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        if "out of system resource" not in str(context.get("message")):
            loop.default_exception_handler(context)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + 60
            _log.warning("no file descriptors are left for new connections (ulimit -n)")


class _Connection(H11Protocol):
    patience: Patience
    most: int
    _since = 0.0
    _head: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None

    @property
    def _resting(self) -> bool:
        """Whether no request is in progress."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = time.monotonic()
        self._expect_head()
        if len(self.connections) > self.most:
            self._make_room()

    def _make_room(self) -> None:
        resting = [
            other
            for other in self.connections
            if isinstance(other, _Connection)
            and other is not self
            and other._resting
            and not other.transport.is_closing()
        ]
        if resting:
            min(resting, key=lambda other: other._since).transport.abort()
        else:
            self.transport.write(_BUSY)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head, self._reader):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._resting and self._head is None:
            self._expect_head()
        super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        if not self._resting and self._head:
            self._head.cancel()
            self._head = None

    def on_response_complete(self) -> None:
        self._since = time.monotonic()
        super().on_response_complete()

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(self.patience.head, self.transport.close)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader = self.loop.call_later(self.patience.reader, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reader:
            self._reader.cancel()
            self._reader = None
