"""The HTTP side: OpenAI's endpoints over the batcher, health, metrics and the page. FastAPI stays in this room."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from hswarm import __version__
from hswarm.engines.base import Engine
from hswarm.errors import MissingExtra
from hswarm.plots.graph import graph_svg
from hswarm.server.batcher import Ask, Batcher, Busy, Event
from hswarm.server.errors import ApiFault
from hswarm.server.schema import AskRequest, ChatRequest, CompletionRequest, Limits
from hswarm.system.system import System

try:
    from fastapi import FastAPI, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
    from fastapi.staticfiles import StaticFiles
    from starlette.exceptions import HTTPException

    from hswarm.server.metrics import Metrics
    from hswarm.server.middleware import Door
    from hswarm.server.responses import Shape, answer, safe, said
except ImportError as missing:
    raise MissingExtra("serving", "serve") from missing

_PAGE = Path(__file__).parent / "page"
_OWN = {"content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}


def create_app(
    systems: Mapping[str, System],
    engine: Engine,
    *,
    limits: Limits | None = None,
    key: str = "",
    hosts: Collection[str] = (),
    queue: int = 256,
) -> FastAPI:
    """An app that answers for `systems` by name, all on one `engine`. It starts a thread, stopped with the app.

    `key`: what clients send as bearer, "" for none; `hosts`: names it answers to, () for all; `queue`: most
    questions in flight.
    """
    return _Service(systems, engine, limits or Limits(), queue).app(key, hosts)


class _Service:
    """The endpoints and what they share."""

    def __init__(self, systems: Mapping[str, System], engine: Engine, limits: Limits, queue: int) -> None:
        self._systems, self._limits, self._began = dict(systems), limits, int(time.time())
        self._metrics = Metrics(lambda: self._batcher.in_flight)
        self._batcher = Batcher(engine, queue, self._metrics.batch)

    def app(self, key: str, hosts: Collection[str]) -> FastAPI:
        app = FastAPI(title="hswarm", version=__version__, docs_url=None, redoc_url=None, lifespan=self._lifespan)
        app.add_middleware(Door, metrics=self._metrics, key=key, hosts=hosts, body=self._limits.body)
        app.add_api_route("/v1/chat/completions", self._chat, methods=["POST"])
        app.add_api_route("/v1/completions", self._complete, methods=["POST"])
        app.add_api_route("/v1/models", self._models)
        app.add_api_route("/v1/models/{model:path}", self._model)
        app.add_api_route("/health", self._health)
        app.add_api_route("/metrics", self._read_metrics)
        app.add_api_route("/", self._index, include_in_schema=False)
        app.mount("/page", StaticFiles(directory=_PAGE))
        for kind, handler in _HANDLERS.items():
            app.add_exception_handler(kind, handler)
        return app

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(self._batcher.stop)

    async def _chat(self, body: ChatRequest, request: Request) -> Response:
        return await self._respond(body, request, chat=True)

    async def _complete(self, body: CompletionRequest, request: Request) -> Response:
        return await self._respond(body, request, chat=False)

    async def _respond(self, body: AskRequest, request: Request, chat: bool) -> Response:
        system = self._find(body.model)
        body.check(self._limits)
        job = _Job(self._batcher, system, body, self._limits.seconds)
        shape = Shape(chat, body.model)
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

    async def _models(self) -> dict[str, Any]:
        return {"object": "list", "data": [self._describe(name) for name in self._systems]}

    async def _model(self, model: str) -> dict[str, Any]:
        system = self._find(model)
        described = self._describe(model)
        described["hswarm"]["svg"] = graph_svg(system.topology, system.assignment)
        return described

    def _describe(self, name: str) -> dict[str, Any]:
        system = self._systems[name]
        topology = system.topology
        nodes = [
            {"node": node, "expert": system.experts[node].name, "hears": list(topology.predecessors(node))}
            for node in topology.order
        ]
        own = {"nodes": nodes, "sink": topology.sink, "max_tokens": system.sampling.max_new_tokens}
        return {"id": name, "object": "model", "created": self._began, "owned_by": "hswarm", "hswarm": own}

    def _find(self, name: str) -> System:
        if name not in self._systems:
            raise ApiFault(404, f"no model '{name}'; there are: {', '.join(self._systems)}", "model", "model_not_found")
        return self._systems[name]

    async def _health(self) -> JSONResponse:
        well = self._batcher.alive
        content = {
            "status": "ok" if well else "the engine's thread has ended; restart the server",
            "models": list(self._systems),
            "in_flight": self._batcher.in_flight,
        }
        return JSONResponse(content, 200 if well else 503)

    async def _read_metrics(self) -> Response:
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _index(self) -> FileResponse:
        return FileResponse(_PAGE / "index.html", headers=_OWN)


class _Job:
    """The questions of one request, followed from the event loop."""

    def __init__(self, batcher: Batcher, system: System, body: AskRequest, seconds: float) -> None:
        self._batcher, self._seconds = batcher, seconds
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + seconds
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        nodes, last = body.samplings(system.sampling)
        self.asks = [Ask(system, question, nodes, last, self._teller(i)) for i, question in enumerate(body.questions())]
        try:
            batcher.submit(self.asks)
        except Busy as busy:
            raise ApiFault(429, str(busy)) from busy

    def _teller(self, i: int) -> Any:
        return lambda event: self._loop.call_soon_threadsafe(self._events.put_nowait, (i, event))

    async def events(self) -> AsyncIterator[tuple[int, Event]]:
        """What happens, until every question has its answer. ApiFault if one fails or time is up."""
        left = len(self.asks)
        while left:
            try:
                async with asyncio.timeout_at(self._deadline):
                    i, event = await self._events.get()
            except TimeoutError:
                raise ApiFault(
                    504,
                    f"no whole answer within {self._seconds:g} s; ask for fewer new tokens, or raise --timeout",
                    code="timeout",
                ) from None
            if event.kind == "failed":
                raise ApiFault(500, event.text)
            yield i, event
            left -= event.kind == "done" and event.node == self.asks[i].system.topology.sink

    async def whole(self) -> None:
        """Wait for all answers."""
        async for _ in self.events():
            pass

    def close(self) -> None:
        """Drop what has not been begun."""
        self._batcher.cancel(self.asks)


async def _lines(job: _Job, shape: Shape, body: AskRequest) -> AsyncIterator[str]:
    """Server-sent events: the sink's words as they come, with `trace` what happens at every node too."""
    try:
        async with aclosing(_chunks(job, shape, body)) as chunks:
            async for chunk in chunks:
                yield f"data: {json.dumps(chunk)}\n\n"
        yield "data: [DONE]\n\n"
    except ApiFault as fault:
        yield f"data: {json.dumps(fault.body())}\n\n"
    finally:
        job.close()


async def _chunks(job: _Job, shape: Shape, body: AskRequest) -> AsyncGenerator[dict[str, Any]]:
    sent = [""] * len(job.asks)
    for i in range(len(job.asks)):
        yield shape.opening(i)
    async for i, event in job.events():
        ask = job.asks[i]
        if body.trace:
            more = said(ask, event.node) if event.kind == "done" else {"node": event.node, "text": event.text}
            yield shape.event(i, {"event": event.kind} | more)
        if event.node != ask.system.topology.sink:
            continue
        text, reason = answer(ask, body.stops) if event.kind == "done" else (safe(event.text, body.stops), "")
        if len(text) > len(sent[i]):
            yield shape.piece(i, text[len(sent[i]) :])
            sent[i] = text
        if event.kind == "done":
            yield shape.closing(i, reason)
    if body.usage_at_end:
        yield shape.usage(job.asks)


async def _disconnected(request: Request) -> None:
    """Return when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _own_fault(request: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, ApiFault)
    headers = {"retry-after": "1"} if fault.status == 429 else None
    return JSONResponse(fault.body(), fault.status, headers)


async def _invalid(request: Request, fault: Exception) -> JSONResponse:
    """What FastAPI refuses, as one sentence about the first place."""
    assert isinstance(fault, RequestValidationError)
    first = fault.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    more = f" (and {len(fault.errors()) - 1} more)" if len(fault.errors()) > 1 else ""
    return JSONResponse(ApiFault(400, f"{place or 'body'}: {first['msg']}{more}", place or None).body(), 400)


async def _http(request: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, HTTPException)
    where = f"{request.method} {request.url.path}: " if fault.status_code in (404, 405) else ""
    message = f"{where}{fault.detail}{'; the API is under /v1' if where else ''}"
    return JSONResponse(ApiFault(fault.status_code, message).body(), fault.status_code)


async def _unexpected(request: Request, fault: Exception) -> JSONResponse:
    return JSONResponse(ApiFault(500, f"a fault in the server ({type(fault).__name__}); see its log").body(), 500)


_HANDLERS: dict[Any, Any] = {
    ApiFault: _own_fault,
    RequestValidationError: _invalid,
    HTTPException: _http,
    Exception: _unexpected,
}
