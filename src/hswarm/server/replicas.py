"""Several engines behind one server: workers, each with the whole model, on devices or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from hswarm.engines import open_engine, worker_makers
from hswarm.engines.base import Engine, EngineSettings
from hswarm.engines.mixed import MixedEngine
from hswarm.engines.parallel import ParallelEngine, open_bench
from hswarm.engines.select import fitting
from hswarm.experts.expert import Expert
from hswarm.experts.remote import REMOTE_BASE
from hswarm.workers.worker import Worker


def open_replicas(settings: EngineSettings, bases: Sequence[str], experts: Sequence[Expert]) -> list[Engine]:
    """One engine for each worker that `settings` places; one in this process without devices and cluster.

    A worker that dies is replaced by its engine. Remote experts are called from this process.
    """
    settings = fitting(settings, experts)
    local = tuple(base for base in bases if base != REMOTE_BASE)
    if not local or not (settings.devices or settings.cluster):
        return [open_engine(settings, bases, experts)]

    def replica(make: Callable[..., Worker]) -> Engine:
        engine = ParallelEngine([make(open_bench, (settings, local))])
        if len(local) == len(bases):
            return engine
        remote = open_engine(settings.alone(), REMOTE_BASE)
        return MixedEngine(dict.fromkeys(local, engine) | {REMOTE_BASE: remote})

    makers = worker_makers(settings)
    with ThreadPoolExecutor(len(makers)) as pool:
        return list(pool.map(replica, makers))
