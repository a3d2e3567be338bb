"""Engines: one file each, heavy imports inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from hswarm.engines.base import Engine, EngineSettings
from hswarm.engines.select import fitting
from hswarm.engines.single import WITHOUT_WEIGHTS, by_base, open_single
from hswarm.experts.expert import Expert

if TYPE_CHECKING:
    from hswarm.workers.worker import Worker


def open_engine(settings: EngineSettings, bases: str | Sequence[str], experts: Sequence[Expert] = ()) -> Engine:
    """The engine that `settings` names, ready to answer for experts of `bases`: one, or a mixed pool's.

    "auto" becomes an engine that supports `experts`. Remote experts get the engine `openai` and tools their own,
    whatever `settings` names, in this process.
    """
    settings = fitting(settings, experts)
    names = (bases,) if isinstance(bases, str) else tuple(bases)
    local = [name for name in names if name not in WITHOUT_WEIGHTS]
    crew = open_crew(settings, local) if local else None
    if crew and len(local) == len(names):
        return crew
    return by_base(names, lambda name: crew if crew and name not in WITHOUT_WEIGHTS else open_single(settings, name))


def open_crew(settings: EngineSettings, bases: Sequence[str]) -> Engine | None:
    """Workers on `settings.devices` or `cluster`; None if this process is the only one."""
    if not settings.devices and not settings.cluster:
        return None
    makers = worker_makers(settings)
    if len(makers) == 1 and settings.devices == "auto":
        return None
    from hswarm.engines.parallel import ParallelEngine, open_bench

    return ParallelEngine([make(open_bench, (settings, tuple(bases))) for make in makers])


def worker_makers(settings: EngineSettings, count: int = 0) -> list[Callable[..., Worker]]:
    """Functions that make a worker of (make, arguments), one for each of `settings.devices` or on `settings.cluster`.

    With a `count`, that many workers share the devices or, if none are named, the machine.
    """
    if settings.cluster:
        from hswarm.workers import on_ray

        on_ray.connect(settings.cluster, count or settings.workers)
        return [*on_ray.worker_makers(count or settings.workers, not _cpu_only(settings))]
    from hswarm.workers.devices import Place, places, visible_gpus
    from hswarm.workers.worker import ProcessWorker

    found = [Place()]
    if settings.devices:
        found = places(settings.devices, [] if _cpu_only(settings) else visible_gpus())
    return [partial(ProcessWorker, place=found[k % len(found)]) for k in range(count or len(found))]


def _cpu_only(settings: EngineSettings) -> bool:
    return settings.device == "cpu" or settings.name in ("toy", "openvino")
