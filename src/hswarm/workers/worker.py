"""A worker: one object in a process of its own, here; on_ray.py has the same on a cluster."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Lock
from typing import Any, Protocol

from hswarm.errors import EngineError
from hswarm.workers.devices import Place

NONE_SHARED: Mapping[str, object] = {}


class WorkerLost(EngineError):
    """The worker died; its work can be done again, by another or after `start`."""


class Worker(Protocol):
    """An object that `make(*arguments)` made elsewhere, one call at a time; it was made `lives` times."""

    lives: int

    def start(self) -> None:
        """Make the object, if it is not there; returns when it is. Raises what `make` raised, or WorkerLost."""

    def call(self, method: str, *arguments: object, shared: Mapping[str, object] = NONE_SHARED) -> Any:
        """Call the object's `method(*arguments, shared)`; WorkerLost if the worker died.

        `shared` are large objects by unique, permanent names, which may be sent by a faster route.
        """

    def close(self) -> None:
        """End the worker, even in mid-call; `start` may make it again."""


class ProcessWorker:
    """A worker in a fresh process, confined to `place`. It ends with the process that made it."""

    def __init__(self, make: Callable[..., object], arguments: tuple[object, ...], place: Place) -> None:
        self.lives = 0
        self._job = make, arguments, place
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._one = Lock()  # a call given up because it hung may still be running

    def start(self) -> None:
        with self._one:
            if self._process is None or not self._process.is_alive():
                self._begin()

    def _begin(self) -> None:
        self.close()
        self.lives += 1
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, *self._job), daemon=True)
        process.start()
        theirs.close()  # so that the pipe breaks when the process dies
        self._process, self._pipe = process, pipe  # only now, since another thread may close it at any time
        self._answer()

    def call(self, method: str, *arguments: object, shared: Mapping[str, object] = NONE_SHARED) -> Any:
        with self._one:
            if self._pipe is None:
                raise WorkerLost("the worker is not running")
            try:
                self._pipe.send((method, arguments, dict(shared)))
            except (OSError, ValueError, AttributeError) as fault:
                raise self._gone() from fault
            return self._answer()

    def close(self) -> None:
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        if process is not None:
            process.kill()
            process.join()
        if pipe is not None:
            pipe.close()

    def _answer(self) -> Any:
        try:
            done, result = self._pipe.recv()  # type: ignore[union-attr]  # closed by another thread: AttributeError
        except (EOFError, OSError, AttributeError, TypeError) as fault:  # the last two: closed by another thread
            raise self._gone() from fault
        if not done:
            raise result
        return result

    def _gone(self) -> WorkerLost:
        process = self._process
        if process is not None:
            process.join(1)
        return WorkerLost(f"a worker process died (exit code {process.exitcode if process else 'unknown'})")


def _serve(pipe: Connection, make: Callable[..., object], arguments: tuple[object, ...], place: Place) -> None:
    """The worker's side: make the object, then answer calls until the pipe breaks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that made us, which then ends us
    place.settle()
    box: list[object] = []
    if not _reply(pipe, lambda: box.append(make(*arguments))):
        return
    while True:
        try:
            method, given, shared = pipe.recv()
        except (EOFError, OSError):
            return
        _reply(pipe, partial(getattr(box[0], method), *given, shared))


def _reply(pipe: Connection, work: Callable[[], object]) -> bool:
    """Send what `work` returns or raises; False if it raised, or the other end is closed."""
    done, result = attempt(work)
    try:
        pipe.send((done, result))
    except OSError:
        return False
    return done


def attempt(work: Callable[[], object]) -> tuple[bool, object]:
    """(True, what `work` returns) or (False, what it raises, made picklable)."""
    try:
        return True, work()
    except Exception as fault:
        return False, portable(fault)


def portable(fault: Exception) -> Exception:
    """`fault` if it survives pickling, else an EngineError that says the same."""
    try:
        pickle.loads(pickle.dumps(fault))
        return fault
    except Exception:
        return EngineError(f"{type(fault).__name__}: {fault}")
