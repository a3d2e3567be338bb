"""Engines: one file each, heavy imports inside."""

from __future__ import annotations

from collections.abc import Sequence

from hswarm import registry
from hswarm.engines.base import Engine, EngineSettings
from hswarm.experts.remote import REMOTE_BASE

TABLE = {
    "auto": "hswarm.engines.auto:fastest_engine",
    "openai": "hswarm.engines.openai:OpenAIEngine",
    "openvino": "hswarm.engines.openvino:OpenVINOEngine",
    "toy": "hswarm.engines.toy:ToyEngine",
    "transformers": "hswarm.engines.transformers:TransformersEngine",
}


def open_engine(settings: EngineSettings, bases: str | Sequence[str]) -> Engine:
    """The engine that `settings` names, ready to answer for experts of `bases`: one, or a mixed pool's.

    Remote experts get the engine `openai` whatever `settings` names, in this process.
    """
    names = (bases,) if isinstance(bases, str) else tuple(bases)
    local = [name for name in names if name != REMOTE_BASE]
    crew = open_crew(settings, local) if local else None

    def make(settings: EngineSettings, base: str) -> Engine:
        if crew and base != REMOTE_BASE:
            return crew
        name = "openai" if base == REMOTE_BASE else settings.name
        engine: Engine = registry.lookup("engines", TABLE, name)(settings, base)
        return engine

    if len(names) == 1 or (crew and len(local) == len(names)):
        return make(settings, names[0])
    from hswarm.engines.mixed import MixedEngine

    return MixedEngine({name: make(settings, name) for name in names})


def open_crew(settings: EngineSettings, bases: Sequence[str]) -> Engine | None:
    """Workers on `settings.devices`; None if that comes to one process, which is this one."""
    if not settings.devices:
        return None
    from hswarm.engines.crew import Crew, open_bench
    from hswarm.workers.devices import places, visible_gpus
    from hswarm.workers.worker import ProcessWorker

    found = places(settings.devices, [] if _cpu_only(settings) else visible_gpus())
    if len(found) == 1 and settings.devices == "auto":
        return None
    return Crew([ProcessWorker(open_bench, (settings, tuple(bases)), place) for place in found])


def _cpu_only(settings: EngineSettings) -> bool:
    return settings.device == "cpu" or settings.name in ("toy", "openvino")
