"""The HTTP side: OpenAI's endpoints over the batcher, health, metrics, the page. Only this room uses Starlette."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from pydantic import JsonValue

from hswarm.engines.base import Engine
from hswarm.errors import MissingExtra
from hswarm.plots.graph import graph_svg
from hswarm.server.about import About
from hswarm.server.batcher import Batcher
from hswarm.server.errors import ApiFault
from hswarm.server.job import Job
from hswarm.server.offers import lacking
from hswarm.server.schema import AskRequest, ChatRequest, CompletionRequest, Limits, ResponseRequest
from hswarm.system.system import System

try:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    from hswarm.server.metrics import Metrics
    from hswarm.server.middleware import Door
    from hswarm.server.response_object import ResponseObject
    from hswarm.server.responses import Completions, Json, Shape, answer, safe, said
except ImportError as missing:
    raise MissingExtra("serving", "serve") from missing

_PAGE = Path(__file__).parent / "page"
_OWN = {"content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}


def create_app(
    systems: Mapping[str, System],
    engines: Sequence[Engine],
    *,
    limits: Limits | None = None,
    key: str = "",
    hosts: Collection[str] = (),
    queue: int = 256,
    told: About | None = None,
) -> Starlette:
    """An app that serves `systems` by name, all on `engines`, each in a thread that stops with the app.

    `key`: the bearer token of clients, "" for none; `hosts`: accepted host names, () for all; `queue`: most
    questions in flight; `told`: what the page says about the first system.
    """
    return _Service(systems, engines, limits or Limits(), queue, told).app(key, hosts)


class _Service:
    """The endpoints and their shared state."""

    def __init__(
        self, systems: Mapping[str, System], engines: Sequence[Engine], limits: Limits, queue: int, told: About | None
    ) -> None:
        self._systems, self._limits, self._began = dict(systems), limits, int(time.time())
        self._told = told
        self._lacking = {name: lacking(system, engines[0]) for name, system in systems.items()}
        self._metrics = Metrics(lambda: self._batcher.in_flight)
        self._batcher = Batcher(engines, queue, self._metrics.batch)

    def app(self, key: str, hosts: Collection[str]) -> Starlette:
        routes = [
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._complete, methods=["POST"]),
            Route("/v1/responses", self._response, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/v1/models/{model:path}", self._model),
            Route("/health", self._health),
            Route("/metrics", self._read_metrics),
            Route("/", self._index),
            Mount("/page", StaticFiles(directory=_PAGE)),
        ]
        door = Middleware(Door, metrics=self._metrics, key=key, hosts=hosts, body=self._limits.body)
        faults = {ApiFault: _own_fault, HTTPException: _http, Exception: _unexpected}
        return Starlette(routes=routes, middleware=[door], exception_handlers=faults, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(self._batcher.stop)

    async def _chat(self, request: Request) -> Response:
        body = ChatRequest.read(await request.body())
        return await self._respond(body, request, Completions(True, body.model))

    async def _complete(self, request: Request) -> Response:
        body = CompletionRequest.read(await request.body())
        return await self._respond(body, request, Completions(False, body.model))

    async def _response(self, request: Request) -> Response:
        body = ResponseRequest.read(await request.body())
        return await self._respond(body, request, ResponseObject(body))

    async def _respond(self, body: AskRequest, request: Request, shape: Shape) -> Response:
        system = self._find(body.model)
        body.check(self._limits, self._lacking[body.model])
        job = Job(self._batcher, system, body, self._limits, request.client.host if request.client else "")
        if body.stream:
            return StreamingResponse(
                _lines(job, shape, body), media_type="text/event-stream", headers={"cache-control": "no-store"}
            )
        whole = asyncio.create_task(job.whole())
        gone = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait({whole, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not whole.done():
                return Response(status_code=499)
            whole.result()
            return JSONResponse(shape.whole(job.asks, body.stops, body.trace))
        finally:
            job.close()
            whole.cancel()
            gone.cancel()

    async def _models(self, request: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [self._describe(name) for name in self._systems]})

    async def _model(self, request: Request) -> JSONResponse:
        name = request.path_params["model"]
        system = self._find(name)
        svg = graph_svg(system.topology, [_shown(expert) for expert in system.assignment])
        told = self._told.to_json() if self._told and name == next(iter(self._systems)) else None
        return JSONResponse(self._describe(name, svg=svg, about=told))

    def _describe(self, name: str, **more: JsonValue) -> Json:
        system = self._systems[name]
        topology = system.topology
        own: Json = {
            "nodes": [
                {"node": node, "expert": _shown(system.nodes[node].name), "hears": [*topology.predecessors(node)]}
                for node in topology.order
            ],
            "sink": topology.sink,
            "max_tokens": system.sampling.max_new_tokens,
            **more,
        }
        return {"id": name, "object": "model", "created": self._began, "owned_by": "hswarm", "hswarm": own}

    def _find(self, name: str) -> System:
        if name not in self._systems:
            raise ApiFault(
                404, f"no model '{name[:100]}'; there are: {', '.join(self._systems)}", "model", "model_not_found"
            )
        return self._systems[name]

    async def _health(self, request: Request) -> JSONResponse:
        well = self._batcher.alive
        content = {
            "status": "ok" if well else "the engine's thread has ended; restart the server",
            "models": list(self._systems),
            "in_flight": self._batcher.in_flight,
        }
        return JSONResponse(content, 200 if well else 503)

    async def _read_metrics(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _index(self, request: Request) -> FileResponse:
        return FileResponse(_PAGE / "index.html", headers=_OWN)


async def _lines(job: Job, shape: Shape, body: AskRequest) -> AsyncIterator[str]:
    """Server-sent events: the sink's reply as it is generated, and with `trace` the events at every node."""
    try:
        async with aclosing(_chunks(job, shape, body)) as chunks:
            async for chunk in chunks:
                yield chunk
    except ApiFault as fault:
        for line in shape.fault(fault.body()):
            yield line
    finally:
        job.close()


async def _chunks(job: Job, shape: Shape, body: AskRequest) -> AsyncGenerator[str]:
    sent = [""] * len(job.asks)
    for i in range(len(job.asks)):
        for line in shape.opening(i):
            yield line
    async for i, event in job.events():
        ask, lines = job.asks[i], []
        if body.trace:
            more: Json = said(ask, event.node) if event.kind == "done" else {"node": event.node, "text": event.text}
            lines += shape.event(i, {"event": event.kind, "at": round(job.seconds, 4), **more})
        if event.node == ask.system.topology.sink:
            text = answer(ask, body.stops)[0] if event.kind == "done" else safe(event.text, body.stops)
            if len(text) > len(sent[i]):
                lines += shape.piece(i, text[len(sent[i]) :])
                sent[i] = text
            if event.kind == "done":
                lines += shape.closing(i, ask, body.stops)
        for line in lines:
            yield line
    for line in shape.end(job.asks, body.usage_at_end):
        yield line


def _shown(name: str) -> str:
    """A name without control characters: expert names come from third parties."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name)


async def _disconnected(request: Request) -> None:
    """Return when the client has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _own_fault(request: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, ApiFault)
    headers = {"retry-after": "1"} if fault.status == 429 else None
    return JSONResponse(fault.body(), fault.status, headers)


async def _http(request: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, HTTPException)
    message = str(fault.detail)
    if fault.status_code in (404, 405):
        there = ", ".join(route.path for route in request.app.routes if isinstance(route, Route))
        message = f"{request.method} {request.url.path}: {message}; there are {there}"
    return JSONResponse(ApiFault(fault.status_code, message).body(), fault.status_code, fault.headers)


async def _unexpected(request: Request, fault: Exception) -> JSONResponse:
    return JSONResponse(ApiFault(500, f"internal error ({type(fault).__name__}); see the server's log").body(), 500)
