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

    Remote experts get the engine `openai` whatever `settings` names.
    """

    def make(settings: EngineSettings, base: str) -> Engine:
        name = "openai" if base == REMOTE_BASE else settings.name
        engine: Engine = registry.lookup("engines", TABLE, name)(settings, base)
        return engine

    names = (bases,) if isinstance(bases, str) else tuple(bases)
    if len(names) == 1:
        return make(settings, names[0])
    from hswarm.engines.mixed import MixedEngine

    return MixedEngine({name: make(settings, name) for name in names})
