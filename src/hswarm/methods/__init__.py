"""Methods: hswarm beside its rivals on equal terms, a file each, declared by `@method` where they are defined.

A method is a function (pool, evaluator, rng) -> System, or a class of settings whose instances are; the settings are
then `[methods.NAME]` in a recipe.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hswarm.errors import ConfigError
from hswarm.experts.pool import ExpertPool
from hswarm.methods.base import Method
from hswarm.methods.base import method as room
from hswarm.options import configured
from hswarm.session.budget import BudgetSpent
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System


def get_method(name: str, settings: Mapping[str, object] | None = None) -> Method:
    """The method called `name` with its `settings`. ConfigError for unknown names and for settings that do not fit."""
    return configured(room.get(name), settings or {}, f"methods.{name}")


def method_names(text: str) -> list[str]:
    """Names of "a,b" or "all" (plug-ins last), each checked."""
    chosen = room.chosen(text)
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
