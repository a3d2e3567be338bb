"""Many pieces of work on many workers: one thread each, one router, results as they arrive.

When a worker dies, its current piece is done again, and the worker is restarted meanwhile. Workers that are
still starting, or waiting for a machine, join when they are ready.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from hswarm.errors import EngineError
from hswarm.workers.router import Router, Work
from hswarm.workers.worker import Worker, WorkerLost

_LOSSES = 2  # of one piece, after which it is suspected of killing workers

Ask = Callable[[Worker, int], object]


@dataclass(eq=False)
class _Wave:
    """Pieces in progress."""

    ask: Ask
    last_resort: Ask
    losses: Counter[int] = field(default_factory=Counter)
    results: SimpleQueue[tuple[int, Any]] = field(default_factory=SimpleQueue)


class WorkerPool:
    """Workers that share work. One `each` at a time."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = tuple(workers)
        self.deaths = 0
        self._router, self._change = Router(len(workers)), threading.Condition()
        self._wave: _Wave | None = None
        self._ready, self._out = set[int](), dict[int, Exception]()
        self._closed = False
        for place in range(len(workers)):
            threading.Thread(target=self._serve, args=(place,), name=f"worker {place}", daemon=True).start()

    def first(self) -> Worker:
        """The first worker that is ready. If all failed to start, raises the last one's fault."""
        with self._change:
            self._change.wait_for(lambda: self._ready or len(self._out) == len(self.workers))
            if not self._ready:
                raise next(iter(self._out.values()))
            return self.workers[min(self._ready)]

    @property
    def ready(self) -> int:
        """How many workers are running now."""
        return len(self._ready)

    def lost(self, worker: Worker) -> None:
        """Between waves: `worker` died. Its thread restarts it, which may take long (a cluster may have no room)."""
        with self._change:
            self._dead(self.workers.index(worker))

    def each(self, work: Sequence[Work], ask: Ask, last_resort: Ask | None = None) -> Iterator[tuple[int, Any]]:
        """(i, what `ask(worker, i)` returned) for every piece, in the order of completion.

        A piece during which workers died three times is given to `last_resort`, by default `ask` once more.
        """
        wave = _Wave(ask, last_resort or ask)
        with self._change:
            if len(self._out) == len(self.workers):
                raise self._none_left()
            self._wave = wave
            self._router.plan(work)
            self._change.notify_all()
        try:
            for _ in work:
                i, result = wave.results.get()
                if isinstance(result, BaseException):
                    raise result
                yield i, result
        finally:
            with self._change:
                self._wave = None
                self._router.plan(())

    def close(self) -> None:
        """End all workers."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for worker in self.workers:
            worker.close()

    def _serve(self, place: int) -> None:
        """A worker's thread: start the worker, then do piece after piece."""
        worker = self.workers[place]
        while not self._closed:
            try:
                self._start(worker)
            except Exception as fault:
                self._leave(place, fault)
                return
            taken = self._take(place)
            if taken is not None:
                self._do(place, worker, *taken)
        worker.close()

    def _start(self, worker: Worker) -> None:
        for attempt in range(_LOSSES + 1):
            try:
                worker.start()
                return
            except WorkerLost:
                if attempt == _LOSSES or self._closed:
                    raise

    def _take(self, place: int) -> tuple[_Wave, int] | None:
        """The next piece; None if the worker died meanwhile or the pool is closed."""
        with self._change:
            self._ready.add(place)
            self._change.notify_all()
            while not self._closed and place in self._ready:
                if self._wave is not None and (i := self._router.next(place)) is not None:
                    return self._wave, i
                self._change.wait()
        return None

    def _do(self, place: int, worker: Worker, wave: _Wave, i: int) -> None:
        try:
            result = (wave.ask if wave.losses[i] <= _LOSSES else wave.last_resort)(worker, i)
        except WorkerLost as fault:
            self._lost(place, wave, i, fault)
            return
        except BaseException as fault:
            with self._change:
                self._ready.discard(place)
                self._router.lost(place)
            worker.close()  # it may still be working
            result = fault
        wave.results.put((i, result))

    def _lost(self, place: int, wave: _Wave, i: int, fault: WorkerLost) -> None:
        with self._change:
            self._dead(place)
            wave.losses[i] += 1
            if wave.losses[i] > _LOSSES + 1:
                wave.results.put((i, fault))
            elif wave is self._wave:
                self._router.again(i)

    def _dead(self, place: int) -> None:
        self.deaths += 1
        self._ready.discard(place)
        self._router.lost(place)
        self._change.notify_all()

    def _leave(self, place: int, fault: Exception) -> None:
        """This worker is lost; when all are, the wave ends."""
        with self._change:
            self._out[place] = fault
            self._ready.discard(place)
            if len(self._out) == len(self.workers) and self._wave is not None:
                self._wave.results.put((-1, self._none_left()))
            self._change.notify_all()

    def _none_left(self) -> EngineError:
        return EngineError(f"no worker is left; the last fault was: {list(self._out.values())[-1]}")
