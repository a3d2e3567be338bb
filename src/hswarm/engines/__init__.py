"""Engines: one file each, heavy imports inside."""

from __future__ import annotations

from collections.abc import Sequence

from hswarm import registry
from hswarm.engines.base import Engine, EngineSettings

TABLE = {
    "auto": "hswarm.engines.auto:fastest_engine",
    "openvino": "hswarm.engines.openvino:OpenVINOEngine",
    "toy": "hswarm.engines.toy:ToyEngine",
    "transformers": "hswarm.engines.transformers:TransformersEngine",
}


def open_engine(settings: EngineSettings, bases: str | Sequence[str]) -> Engine:
    """The engine that `settings` names, ready to answer for experts of `bases`: one, or a mixed pool's."""
    make = registry.lookup("engines", TABLE, settings.name)
    names = (bases,) if isinstance(bases, str) else tuple(bases)
    if len(names) == 1:
        engine: Engine = make(settings, names[0])
        return engine
    from hswarm.engines.mixed import MixedEngine

    return MixedEngine({name: make(settings, name) for name in names})
