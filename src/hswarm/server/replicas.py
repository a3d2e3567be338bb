"""Several engines behind one server: workers, each with the whole model, on devices or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from hswarm.engines import open_engine, worker_makers
from hswarm.engines.base import Engine, EngineSettings
from hswarm.engines.mixed import MixedEngine
from hswarm.engines.parallel import ParallelEngine, open_bench
from hswarm.engines.select import fitting
from hswarm.engines.single import WITHOUT_WEIGHTS
from hswarm.experts.expert import Expert
from hswarm.workers.worker import Worker


def open_replicas(settings: EngineSettings, bases: Sequence[str], experts: Sequence[Expert]) -> list[Engine]:
    """One engine for each worker that `settings` places; one in this process without devices and cluster.

    A worker that dies is replaced by its engine. Remote experts and tools are called from this process.
    """
    settings = fitting(settings, experts)
    local = tuple(base for base in bases if base not in WITHOUT_WEIGHTS)
    if not local or not (settings.devices or settings.cluster):
        return [open_engine(settings, bases, experts)]

    def replica(make: Callable[..., Worker]) -> Engine:
        engine = ParallelEngine([make(open_bench, (settings, local))])
        if len(local) == len(bases):
            return engine
        others = {base: open_engine(settings.alone(), base) for base in bases if base in WITHOUT_WEIGHTS}
        return MixedEngine(dict.fromkeys(local, engine) | others)

    makers = worker_makers(settings)
    with ThreadPoolExecutor(len(makers)) as pool:
        return list(pool.map(replica, makers))
