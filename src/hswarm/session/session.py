"""What a recipe names, opened and checked: pool, task, engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hswarm.config.recipe import Recipe
from hswarm.core.streams import stream
from hswarm.engines import TABLE, open_engine
from hswarm.engines.base import Engine
from hswarm.errors import ConfigError
from hswarm.experts.compatibility import check_tokenizers
from hswarm.experts.interpolate import populated
from hswarm.experts.pool import ExpertPool, expert_folders, open_pool
from hswarm.registry import check_name
from hswarm.scorers import scored_calls, task_scorer
from hswarm.tasks import load_task
from hswarm.tasks.task import Task


def shared_cache(recipe: Recipe) -> Path | None:
    """The file of calls that runs of `recipe` share with others."""
    return Path(recipe.search.cache).expanduser() if recipe.search.cache else None


@dataclass(frozen=True, eq=False)
class Parts:
    """What a recipe names, opened and checked."""

    pool: ExpertPool
    task: Task
    engine: Engine


def open_parts(recipe: Recipe) -> Parts:
    """Pool, task and engine of `recipe`; the quick checks come before the engine is loaded."""
    check_name("engines", TABLE, recipe.engine.name)
    task = load_task(recipe.task)
    task_scorer(task)
    pool = read_pool(recipe)
    engine = open_engine(recipe.engine, pool.bases)
    engine.check(pool.experts)
    return Parts(pool, task, engine)


def read_pool(recipe: Recipe) -> ExpertPool:
    """The pool of `recipe`, checked against the number of nodes."""
    if recipe.engine.name == "toy":
        from hswarm.engines.toy import toy_pool

        pool = toy_pool(recipe.search.nodes or 4)
    else:
        pool = open_pool(recipe.pool)
        check_tokenizers(pool, expert_folders(recipe.pool))
    if recipe.pool.populate:
        pool = populated(pool, recipe.pool.populate, stream(recipe.seed, "populate"))
    nodes = recipe.search.nodes
    if nodes is not None and nodes > len(pool.experts):
        raise ConfigError(
            [
                f"search.nodes is {nodes}, the pool has {len(pool.experts)} experts; "
                f"take at most {len(pool.experts)} nodes or add experts"
            ]
        )
    return pool


def planned_calls(recipe: Recipe, experts: int, dev: int, test: int, task: Task | None = None) -> dict[str, int]:
    """Calls that a recipe asks for at most, by phase; reuse and an early end make them fewer.

    What the scorers of `task` ask further is counted too; without it only the questions themselves are.
    """
    settings = recipe.search
    alone, nodes = (scored_calls(task, n) if task else n for n in (1, settings.nodes or experts))
    role = settings.graphs * nodes * dev
    roles = role * (settings.iterations if "role" in settings.steps else 1)
    weights = settings.assignments * nodes * dev * max(0, settings.iterations - settings.weight_after)
    weights *= "weight" in settings.steps
    phases = {
        "experts alone": experts * alone * dev,
        "role-steps": roles,
        "weight-steps": weights,
        "test": {"none": nodes, "best": alone + 2 * nodes, "all": experts * alone + 2 * nodes}[settings.start_on_test]
        * test,
    }
    return phases | {"total": sum(phases.values())}
