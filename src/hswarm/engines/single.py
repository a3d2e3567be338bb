"""Engines in this process: one of a base, or one that sends each request to its base's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hswarm.engines.base import Engine, EngineSettings, engine
from hswarm.engines.mixed import MixedEngine
from hswarm.engines.tools import ToolEngine
from hswarm.experts.base import opening
from hswarm.experts.remote import REMOTE_BASE
from hswarm.experts.tool import TOOL_BASE
from hswarm.options import configured

WITHOUT_WEIGHTS = (REMOTE_BASE, TOOL_BASE)  # in place of a base; called from the process that searches or serves


def open_single(settings: EngineSettings, base: str) -> Engine:
    """The engine that `settings` names, for experts of `base`; remote experts get the engine `openai`, tools
    their own."""
    if base == TOOL_BASE:
        return ToolEngine()
    name = "openai" if base == REMOTE_BASE else settings.name
    options = settings.options if name == settings.name else {}
    with opening(base):
        made: Engine = configured(engine.get(name), options, "engine.options")(settings, base)
    return made


def by_base(bases: Sequence[str], make: Callable[[str], Engine]) -> Engine:
    """The engine that `make` gives for the base; a MixedEngine of theirs for several bases."""
    return make(bases[0]) if len(bases) == 1 else MixedEngine({base: make(base) for base in bases})
