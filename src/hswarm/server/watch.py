"""A page about a run on this machine: the report as far as it is known, and what the best system replied to a question.

Everything is read from the run's files, which the search alone writes; whose process it is does not matter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from hswarm.errors import HSwarmError, MissingExtra
from hswarm.report.messages import read_question
from hswarm.report.render import html_page, list_page, question_page
from hswarm.report.summary import gather
from hswarm.runs.directory import Run
from hswarm.server.listener import listen, make_server
from hswarm.system.system import System
from hswarm.tasks import load_task
from hswarm.tasks.task import Example

try:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    from hswarm.server.metrics import Metrics
    from hswarm.server.middleware import Door
except ImportError as missing:
    raise MissingExtra("watching a search", "serve") from missing

HOST = "127.0.0.1"
_REFRESH = 3  # seconds between two looks of a browser at a run that goes on
_HEADERS = {"cache-control": "no-store", "x-frame-options": "DENY", "referrer-policy": "no-referrer"}


@contextmanager
def watching(path: Path, port: int) -> Iterator[str]:
    """Serve the page of the run at `path`, which need not be there yet, in a thread; gives the page's address.

    UserError if the port is taken.
    """
    with listen(HOST, port) as listener:
        server = make_server(watch_app(path), grace=1)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(5)


def watch_app(path: Path) -> Starlette:
    """The page's app: it answers to this machine's names alone."""
    pages = _Pages(path)
    door = Middleware(Door, metrics=Metrics(lambda: 0), key="", hosts={HOST, "localhost"}, body=0)
    routes = [
        Route("/", pages.run),
        Route("/questions", pages.questions),
        Route("/questions/{number:int}", pages.question),
    ]
    return Starlette(routes=routes, middleware=[door])


class _Pages:
    """The pages of one run. A file that is just being replaced is read again at the next look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._dev: tuple[Example, ...] = ()
        self._best: tuple[float, System] | None = None

    async def run(self, request: Request) -> HTMLResponse:
        """The report."""
        return await self._page(
            lambda run: html_page(gather(run), _refresh(run), {"Messages of a question": "/questions"})
        )

    async def questions(self, request: Request) -> HTMLResponse:
        """The dev questions."""

        def made(run: Run) -> str:
            links = {f"{i}: {one.question}": f"/questions/{i}" for i, one in enumerate(self._questions(run), 1)}
            return list_page("Dev questions", [], {"Back": "/"} | links)

        return await self._page(made)

    async def question(self, request: Request) -> HTMLResponse:
        """What the best system replied to one of them."""
        number = int(request.path_params["number"])

        def made(run: Run) -> str:
            dev = self._questions(run)
            if not 1 <= number <= len(dev):
                return list_page("No such question", [f"there are questions 1 to {len(dev)}"], {"Back": "/questions"})
            found = read_question(run, self._system(run), dev, number)
            links = {"Back": "/questions", "Next": f"/questions/{number % len(dev) + 1}"}
            return question_page(found, links, _refresh(run))

        return await self._page(made)

    async def _page(self, made: Callable[[Run], str]) -> HTMLResponse:
        return HTMLResponse(await asyncio.to_thread(self._made, made), headers=_HEADERS)

    def _made(self, made: Callable[[Run], str]) -> str:
        if not (self._path / "config.toml").is_file():
            return list_page("Not begun", ["The search is opening pool and engine."], {}, _REFRESH)
        for attempt in range(5):
            try:
                return made(Run.open(self._path))
            except (HSwarmError, OSError) as fault:
                told = str(fault)
                time.sleep(0.1 * attempt)
        return list_page("Not to be read at the moment", [told], {"Back": "/"}, _REFRESH)

    def _questions(self, run: Run) -> tuple[Example, ...]:
        if not self._dev:
            self._dev = load_task(run.recipe.task).dev
        return self._dev

    def _system(self, run: Run) -> System:
        """The best system so far, read again where it is another one."""
        changed = (run.path / "best" / "system.json").stat().st_mtime
        if self._best is None or self._best[0] != changed:
            self._best = changed, run.best
        return self._best[1]


def _refresh(run: Run) -> int:
    return 0 if run.finished else _REFRESH
