"""One place where a recipe becomes pool, task, engine, cache, executor and evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from hswarm.config.recipe import Recipe
from hswarm.core.streams import stream
from hswarm.engines import open_engine
from hswarm.engines.base import Engine, close
from hswarm.engines.base import engine as engine_room
from hswarm.errors import ConfigError
from hswarm.experts.compatibility import check_tokenizers
from hswarm.experts.interpolate import populated
from hswarm.experts.pool import ExpertPool, expert_folders, open_pool
from hswarm.scorers import scored_calls, task_scorer
from hswarm.session.evaluator import Evaluator
from hswarm.system.cache import Cache
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks import load_task
from hswarm.tasks.task import Task


def shared_cache(recipe: Recipe) -> Path | None:
    """The file of calls that runs of `recipe` share with others."""
    return Path(recipe.search.cache).expanduser() if recipe.search.cache else None


@dataclass(eq=False)
class Session:
    """Pool, task and engine of a recipe, and the executor and evaluator that work on them.

    `replace(session, ...)` gives a variant on the same engine, with a ledger of its own: another task, recipe or cache.
    `elsewhere` holds calls that others make too (system/executor.py).
    """

    recipe: Recipe
    pool: ExpertPool
    task: Task
    engine: Engine
    cache: Cache = field(default_factory=Cache)
    elsewhere: Cache | None = None
    progress: Callable[[int], None] = lambda calls: None

    @classmethod
    def load(cls, recipe: Recipe) -> Session:
        """What `recipe` names, opened and checked; the quick checks come before the engine is loaded."""
        engine_room.check(recipe.engine.name)
        task = load_task(recipe.task)
        task_scorer(task)
        pool = read_pool(recipe)
        engine = open_engine(recipe.engine, pool.bases, pool.experts)
        engine.check(pool.experts)
        return cls(recipe, pool, task, engine)

    @classmethod
    @contextmanager
    def open(cls, recipe: Recipe) -> Iterator[Session]:
        """The same; the engine is closed at the end."""
        session = cls.load(recipe)
        try:
            yield session
        finally:
            close(session.engine)

    @classmethod
    def of_system(cls, system: System, task: Task | None = None, recipe: Recipe | None = None) -> Session:
        """A session to use `system` in, on the engine that it was found with."""
        pool = ExpertPool(system.experts, system.base)
        recipe = recipe or Recipe(engine=system.engine)
        engine = open_engine(system.engine, system.bases, system.experts)
        return cls(recipe, pool, task or Task("", (), (), ""), engine)

    @contextmanager
    def keeping(self, path: Path, progress: Callable[[int], None] | None = None) -> Iterator[Session]:
        """A variant whose calls are kept in the file `path`, and in the file that the recipe's runs share."""
        with closing(Cache(path, shared_cache(self.recipe))) as cache:
            yield replace(self, cache=cache, progress=progress or self.progress)

    @cached_property
    def executor(self) -> Executor:
        """Carries out systems on the engine; calls that the cache knows are not made again."""
        return Executor(
            self.engine,
            self.cache,
            self.recipe.search.reuse,
            progress=self.progress,
            settings=self.recipe.engine,
            elsewhere=self.elsewhere,
        )

    @cached_property
    def evaluator(self) -> Evaluator:
        """Scores systems of the task within the recipe's budget."""
        return Evaluator(self.task, self.recipe, self.pool, self.executor)


def read_pool(recipe: Recipe) -> ExpertPool:
    """The pool of `recipe`, checked against the number of nodes."""
    if own := _engine_s_own(recipe):
        pool = own(recipe.search.nodes or 4)
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


def _engine_s_own(recipe: Recipe) -> Callable[[int], ExpertPool] | None:
    """How the recipe's engine makes a pool of its own, where the recipe names none (engines/toy.py)."""
    if recipe.pool.path or recipe.pool.experts or recipe.pool.remote or recipe.pool.tools:
        return None
    made: Callable[[int], ExpertPool] | None = getattr(engine_room.get(recipe.engine.name), "own_pool", None)
    return made


def planned_calls(recipe: Recipe, experts: int, dev: int, test: int, task: Task | None = None) -> dict[str, int]:
    """Calls that a recipe asks for at most, by phase; reuse and patience make them fewer.

    Growth makes as many as the budget allows; without one, as many as the swarm would ask for.

    What the scorers of `task` ask further is counted too; without it only the questions themselves are.
    """
    settings = recipe.search
    alone, nodes = (scored_calls(task, n) if task else n for n in (1, settings.nodes or experts))
    role = settings.graphs * nodes * dev
    roles = role * (settings.iterations if "role" in settings.steps else 1)
    weights = settings.assignments * nodes * dev * max(0, settings.iterations - settings.weight_after)
    weights *= "weight" in settings.steps
    singles = experts * alone * dev
    if settings.method.startswith("growth"):
        limit = recipe.budget.calls or singles + roles + weights
        search = {"experts alone": min(singles, limit), "growth": max(0, limit - singles)}
    else:
        search = {"experts alone": singles, "role-steps": roles, "weight-steps": weights}
    phases = search | {
        "test": {"none": nodes, "best": alone + 2 * nodes, "all": experts * alone + 2 * nodes}[settings.start_on_test]
        * test,
    }
    return phases | {"total": sum(phases.values())}
