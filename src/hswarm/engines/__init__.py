"""Engines: one file each, heavy imports inside."""

from __future__ import annotations

from hswarm import registry
from hswarm.engines.base import Engine, EngineSettings

TABLE = {
    "toy": "hswarm.engines.toy:ToyEngine",
    "transformers": "hswarm.engines.transformers:TransformersEngine",
}


def open_engine(settings: EngineSettings, base: str) -> Engine:
    """The engine that `settings` names, ready to answer for experts of `base`."""
    engine: Engine = registry.lookup("engines", TABLE, settings.name)(settings, base)
    return engine
