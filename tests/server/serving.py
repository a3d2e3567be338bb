"""A server in a thread, over the toy engine or whatever a test gives."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from hswarm.core.topology import Topology
from hswarm.engines.base import Completion, Engine, EngineSettings, Request
from hswarm.engines.toy import ToyEngine, toy_pool
from hswarm.system.system import System
from hswarm.tasks.toy import planted_order


def toy_system(topology: Topology, assignment: Sequence[int], experts: int = 4) -> System:
    pool = toy_pool(experts).experts
    return System(topology, tuple(pool[i] for i in assignment), base="toy", engine=EngineSettings("toy"))


def toy_question(steps: Sequence[int]) -> str:
    return f"toy 0.0: steps {' '.join(map(str, steps))}; difficulty {' '.join(['0.2'] * len(steps))}"


ORDER = planted_order(4)
QUESTION = toy_question(ORDER)
ANSWER = "done " + " ".join(map(str, ORDER))


@contextmanager
def serving(systems: Mapping[str, System], *engines: Engine, **options: Any) -> Iterator[str]:
    """The address of a running server on `engines` (none: one toy engine)."""
    pytest.importorskip("uvicorn")
    from hswarm.server.app import create_app
    from hswarm.server.listener import listen, make_server

    settings = {name: options.pop(name) for name in ("patience", "most") if name in options}
    app = create_app(systems, engines or [ToyEngine(EngineSettings("toy"))], **options)
    server = make_server(app, grace=30, **settings)
    listener = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


class Gate(ToyEngine):
    """The toy engine, answering only while open: so that a test can have questions in flight. Notes its batches."""

    def __init__(self, batch: int = 32) -> None:
        super().__init__(EngineSettings("toy", batch=batch))
        self.open = threading.Event()
        self.sizes: list[int] = []

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        assert self.open.wait(60)
        self.sizes.append(len(requests))
        return super().generate(requests)
