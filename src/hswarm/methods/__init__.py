"""Methods: hswarm beside its rivals on equal terms, one line in the table each.

A method is a function (pool, evaluator, rng) -> System, or a class of settings whose instances are; the settings are
then `[methods.NAME]` in a recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hswarm.errors import ConfigError
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import Method
from hswarm.registry import check_name, listed, lookup
from hswarm.session.budget import BudgetSpent
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System

_ROOM = "hswarm.methods."
TABLE = {
    "best_single": _ROOM + "best_single:best_single",
    "prediction_merge": _ROOM + "prediction_merge:prediction_merge",
    "data_merge": _ROOM + "data_merge:DataMerge",
    "uniform_soup": _ROOM + "soups:uniform_soup",
    "dare_ties": _ROOM + "dare_ties:DareTies",
    "greedy_soup": _ROOM + "soups:greedy_soup",
    "pack_of_llms": _ROOM + "pack_of_llms:PackOfLLMs",
    "lorahub": _ROOM + "lorahub:LoraHub",
    "model_swarms": _ROOM + "model_swarms:model_swarms",
    "chain": _ROOM + "fixed_roles:chain",
    "star": _ROOM + "fixed_roles:star",
    "gptswarm": _ROOM + "gptswarm:GPTSwarm",
    "meta_agent": _ROOM + "meta_agent:MetaAgent",
    "agent_prune": _ROOM + "agent_prune:AgentPrune",
    "gnn": _ROOM + "gnn:GNN",
    "agentverse": _ROOM + "agentverse:AgentVerse",
    "macnet": _ROOM + "macnet:macnet",
    "self_consistency": _ROOM + "self_consistency:SelfConsistency",
    "random_topology": _ROOM + "fixed_roles:random_topology",
    "random_search": _ROOM + "random_search:random_search",
    "role_only": _ROOM + "hswarm:role_only",
    "weight_only": _ROOM + "hswarm:weight_only",
    "hswarm": _ROOM + "hswarm:hswarm",
}


def get_method(name: str, settings: Mapping[str, Any] | None = None) -> Method:
    """The method called `name` with its `settings`. ConfigError for unknown names and for settings that do not fit."""
    found = lookup("methods", TABLE, name)
    if not isinstance(found, type):
        if settings:
            raise ConfigError([f"methods.{name}: this method has no settings of its own, got {', '.join(settings)}"])
        method: Method = found
        return method
    from pydantic import TypeAdapter, ValidationError

    try:
        made: Method = TypeAdapter(found).validate_python(dict(settings or {}))
        return made
    except ValidationError as fault:
        raise ConfigError(
            [f"methods.{name}.{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in fault.errors()]
        ) from fault


def method_names(text: str) -> list[str]:
    """Names of "a,b" or "all" (the table's order, plug-ins last), each checked."""
    chosen = listed("methods", TABLE, text)
    for name in chosen:
        check_name("methods", TABLE, name)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ConfigError([f"--methods takes 'all' or different names with commas between, got '{text}'"])
    return chosen


def run_method(method: Method, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
    """What `method` makes of `pool`; when the budget ends it, the best system that it had scored."""
    try:
        return method(pool, evaluator, rng)
    except BudgetSpent:
        if evaluator.archive.best is None:
            raise
        return evaluator.archive.best.system
