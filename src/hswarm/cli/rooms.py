"""What `hswarm list` lists: the rooms of named parts, each imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hswarm.registry import Part, Room

PLACES = {
    "tasks": "hswarm.tasks.task:task",
    "scorers": "hswarm.scorers.base:scorer",
    "tools": "hswarm.tools.base:tool",
    "engines": "hswarm.engines.base:engine",
    "methods": "hswarm.methods.base:method",
    "analyses": "hswarm.analysis.context:analysis",
    "studies": "hswarm.experiments.study:study",
}
LISTS = (*PLACES, "presets", "fields", "runs")


def room(name: str) -> Room[Part]:
    """The room called `name`, a key of PLACES."""
    module, _, attribute = PLACES[name].partition(":")
    found: Any = getattr(import_module(module), attribute)
    return found  # type: ignore[no-any-return]
