"""Workers that are still starting when their pool ends."""

from __future__ import annotations

import threading
import time

from hswarm.workers.devices import Place
from hswarm.workers.pool import WorkerPool
from hswarm.workers.worker import ProcessWorker


def slow(seconds: float) -> object:
    time.sleep(seconds)
    return object()


def test_a_worker_that_was_ended_while_it_started_stays_ended() -> None:
    worker = ProcessWorker(slow, (600.0,), Place())
    pool = WorkerPool([worker])
    (thread,) = [one for one in threading.enumerate() if one.name == "worker 0"]
    until = time.monotonic() + 60
    while worker._process is None and time.monotonic() < until:
        time.sleep(0.01)
    pool.close()
    thread.join(30)
    assert not thread.is_alive()
    assert worker.lives == 1
