"""Workers that are still starting: when their pool ends, and when others have work to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hswarm.workers.devices import Place
from hswarm.workers.pool import WorkerPool
from hswarm.workers.router import Work
from hswarm.workers.worker import ProcessWorker, Worker, WorkerLost
from tests.known import known


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def slow(seconds: float) -> object:
    time.sleep(seconds)
    return object()


def test_a_worker_that_was_ended_while_it_started_stays_ended() -> None:
    worker = ProcessWorker(slow, (600.0,), Place())
    pool = WorkerPool([worker])
    (thread,) = [one for one in threading.enumerate() if one.name == "worker 0"]
    wait_until(lambda: worker._process is not None)
    pool.close()
    thread.join(30)
    assert not thread.is_alive()
    assert worker.lives == 1


class Twice:
    def double(self, number: int, shared: object) -> int:
        return 2 * number


def starts_once(seen: Path) -> Twice:
    """The second time it waits, as for room on a cluster."""
    if seen.exists():
        time.sleep(600)
    seen.touch()
    return Twice()


def test_the_others_work_while_a_lost_one_waits_to_start(tmp_path: Path) -> None:
    workers = [ProcessWorker(starts_once, (tmp_path / name,), Place()) for name in "ab"]
    pool = WorkerPool(workers)
    wait_until(lambda: pool.ready == 2)
    known(workers[0]._process).kill()
    assert pool.first() is workers[0]
    with pytest.raises(WorkerLost):
        workers[0].call("double", 1)
    pool.lost(workers[0])
    assert pool.first() is workers[1]

    def ask(worker: Worker, i: int) -> int:
        return int(worker.call("double", i))

    assert dict(pool.each([Work("", 1.0)] * 3, ask)) == {0: 0, 1: 2, 2: 4}
    assert (pool.ready, pool.deaths) == (1, 1)
    pool.close()
