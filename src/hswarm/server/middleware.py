"""Checks on every request: allowed host, key, size of the body; and counting it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hswarm.server.errors import ApiFault

if TYPE_CHECKING:
    from hswarm.server.metrics import Metrics

_GUARDED = ("/v1/", "/metrics")
_ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/models", "/health", "/metrics", "/")
_PATIENCE = 2.0  # seconds to read the rest of a body that is too long


def _endpoint(path: str) -> str:
    """A label for the counters: never a string that a client chose."""
    if path.startswith("/v1/models/"):
        return "/v1/models/{model}"
    return path if path in _ENDPOINTS else "other"


def _check_site(headers: Headers) -> None:
    """ApiFault for what a browser sends on behalf of another web site: it needs no leave to ask, only to read."""
    other = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    web = headers.get("origin", "null").partition(":")[0] in ("http", "https", "null")
    if other and web:
        raise ApiFault(403, "another web site asks through your browser; only this server's own page may")


@dataclass
class Door:
    """ASGI middleware. `hosts` are the accepted host names (empty: all), a defence against DNS rebinding."""

    app: ASGIApp
    metrics: Metrics
    key: str
    hosts: Collection[str]
    body: int
    patience: float = 30.0  # seconds to receive the whole body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._answer(scope, receive, counted)
        finally:
            endpoint = _endpoint(scope["path"])
            self.metrics.requests.labels(endpoint, str(status or 499)).inc()
            self.metrics.seconds.labels(endpoint).observe(time.perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            if scope["method"] not in ("GET", "HEAD"):
                _check_site(headers)
            if self.key and scope["path"].startswith(_GUARDED):
                self._check_key(headers)
            length = headers.get("content-length", "0")
            if length.isdigit() and int(length) > self.body:
                await self._discard(receive)
                raise self._too_long()
            await self.app(scope, self._measured(receive), send)
        except ApiFault as fault:
            await JSONResponse(fault.body(), fault.status)(scope, receive, send)

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self.hosts and name not in self.hosts:
            listed = ", ".join(sorted(self.hosts))
            raise ApiFault(403, f"this server answers to {listed}, not to '{name[:100]}' (see --host)")

    def _check_key(self, headers: Headers) -> None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), self.key.encode()):
            raise ApiFault(
                401, "the key is missing or wrong; send it as 'Authorization: Bearer KEY'", code="invalid_api_key"
            )

    def _measured(self, receive: Receive) -> Receive:
        """`receive`, raising ApiFault when the body is too long or arrives too late."""
        taken, whole = 0, False
        deadline = asyncio.get_running_loop().time() + self.patience

        async def measured() -> Message:
            nonlocal taken, whole
            try:
                async with asyncio.timeout_at(None if whole else deadline):
                    message = await receive()
            except TimeoutError:
                late = f"the request's body did not come within {self.patience:g} s"
                raise HTTPException(408, late, {"connection": "close"}) from None
            whole = not message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken > self.body:
                await self._discard(receive, not whole)
                raise HTTPException(413, self._too_long().message)
            return message

        return measured

    async def _discard(self, receive: Receive, more: bool = True) -> None:
        """Read the rest of a refused body, within bounds: a client still sending when the connection closes
        would see a reset instead of the answer."""
        left = 8 * self.body
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while more and left > 0:
                    message = await receive()
                    more = message.get("more_body", False)
                    left -= len(message.get("body", b""))

    def _too_long(self) -> ApiFault:
        return ApiFault(413, f"the request's body is longer than {self.body} bytes; shorten it")
