"""Whole runs side by side: the cells of a comparison, the trials of a sweep. Knows nothing of what a job does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TypeVar

from hswarm.engines import worker_makers
from hswarm.engines.base import EngineSettings
from hswarm.workers.pool import WorkerPool
from hswarm.workers.router import Work

J = TypeVar("J")
R = TypeVar("R")


def each(
    function: Callable[[J], R], jobs: Sequence[J], keys: Sequence[str], workers: int, engine: EngineSettings
) -> Iterator[tuple[int, R]]:
    """(i, function(jobs[i])) as jobs are done, `workers` of them at a time in processes where `engine` says.

    Jobs of one of the `keys` like the same worker. A job whose worker dies is begun again: it must find what it had.
    With one worker jobs are done here, one after another.
    """
    if workers == 1:
        yield from ((i, function(job)) for i, job in enumerate(jobs))
        return
    makers = worker_makers(engine, min(workers, len(jobs)))
    with closing(WorkerPool([make(_Runner, ()) for make in makers])) as team:
        work = [Work(key, 1.0) for key in keys]
        yield from team.each(work, lambda worker, i: worker.call("run", function, jobs[i]))


class _Runner:
    """A worker's side."""

    def run(self, function: Callable[[J], R], job: J, shared: Mapping[str, object]) -> R:
        return function(job)
