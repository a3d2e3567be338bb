"""hswarm: which expert's reply reaches which, and with what weights.

An implementation of Heterogeneous Swarms (arXiv 2502.04510). The names below are the public ones.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hswarm.config.recipe import Recipe as Recipe
    from hswarm.consent import allow as allow
    from hswarm.core.decode import g_decode as g_decode
    from hswarm.core.jfk import jfk_score as jfk_score
    from hswarm.core.swarm import Swarm as Swarm
    from hswarm.core.swarm import SwarmSettings as SwarmSettings
    from hswarm.core.topology import Topology as Topology
    from hswarm.errors import HSwarmError as HSwarmError
    from hswarm.experiments.search import search as search
    from hswarm.experts.pool import ExpertPool as ExpertPool
    from hswarm.runs.directory import Run as Run
    from hswarm.system.load import load as load
    from hswarm.system.system import System as System
    from hswarm.tasks.task import Example as Example
    from hswarm.tasks.task import Task as Task

__version__ = "0.1.0"

_HOMES = {
    "Example": "tasks.task",
    "ExpertPool": "experts.pool",
    "HSwarmError": "errors",
    "Recipe": "config.recipe",
    "Run": "runs.directory",
    "Swarm": "core.swarm",
    "SwarmSettings": "core.swarm",
    "System": "system.system",
    "Task": "tasks.task",
    "Topology": "core.topology",
    "allow": "consent",
    "g_decode": "core.decode",
    "jfk_score": "core.jfk",
    "load": "system.load",
    "search": "experiments.search",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    """Public names are imported when first used, so that `import hswarm` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'hswarm' has no attribute {name!r}")
    return getattr(import_module(f"hswarm.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
