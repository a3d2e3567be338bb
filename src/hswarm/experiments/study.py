"""What a study is: many searches of some recipes that answer one question of the paper, and the decorator for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hswarm.analysis.context import Target
from hswarm.analysis.result import AnalysisResult
from hswarm.config.recipe import Recipe
from hswarm.errors import ConfigError, RunError
from hswarm.experiments.compare import compare
from hswarm.experts.pool import ExpertPool
from hswarm.registry import Part, Room
from hswarm.runs.comparison import NotRun
from hswarm.session.evaluation import Evaluation
from hswarm.session.session import Session, read_pool
from hswarm.system.cache import Cache

study = Room("studies", "hswarm.experiments", "study", Part)
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class StudyPlan:
    """What a study may use: its folder `path`, `methods` (() for its own choice), `seeds` a method, `jobs` at once,
    other tasks (`to`), numbers of `devices`; `say` is told each result."""

    path: Path
    methods: tuple[str, ...] = ()
    seeds: int = 3
    jobs: int = 1
    to: tuple[Target, ...] = ()
    devices: tuple[int, ...] = (1, 2, 4, 8)
    say: Callable[[str], None] = print
    refused: list[str] = field(default_factory=list)

    def results(self, recipes: Sequence[Recipe], methods: Sequence[str]) -> dict[tuple[str, str], Scores]:
        """Test scores, shape (seeds, questions), by (name of the recipe, method): found there or searched for now, by
        `compare` in the study's folder. Methods that cannot run on a recipe are left out and noted in `refused`."""
        found: dict[tuple[str, str], list[list[float | None]]] = {}
        for result in compare(recipes, methods, self.seeds, self.path, self.jobs, self.say):
            if isinstance(result, NotRun):
                self.refused.append(f"{result.method} on {result.task} was not run: {result.refused}")
            else:
                found.setdefault((result.task, result.method), []).append(result.test)
        if not found:
            raise RunError(f"no method could run: {self.refused[0]}")
        return {cell: np.array(rows, dtype=np.float64) for cell, rows in found.items()}

    def alone(self, recipe: Recipe, split: str) -> list[Evaluation]:
        """Every expert alone on "dev" or "test", in the pool's order; calls are shared with the searches."""
        self.path.mkdir(parents=True, exist_ok=True)
        with Session.open(recipe) as session, closing(Cache(self.path / "calls.sqlite")) as shared:
            evaluator = replace(session, elsewhere=shared).evaluator
            if split == "dev":
                return evaluator.singles()
            return evaluator.final([evaluator.alone(expert) for expert in session.pool.experts])


class Study(Protocol):
    """Answers its question for the recipes; ConfigError where they do not suit it."""

    def __call__(self, recipes: Sequence[Recipe], plan: StudyPlan) -> AnalysisResult: ...


def with_experts(recipe: Recipe, pool: ExpertPool, names: Sequence[str], label: str) -> Recipe:
    """`recipe` with the experts `names` of its `pool` alone, called <name>-<label>; at most a node an expert."""
    remote = tuple(one for one in recipe.pool.remote if one.name in names)
    tools = tuple(one for one in recipe.pool.tools if one.name in names)
    elsewhere = {one.name for one in recipe.pool.remote} | {one.name for one in recipe.pool.tools}
    local = [name for name in pool.names if name not in elsewhere]
    kept = tuple(text for text, name in zip(recipe.pool.experts or local, local, strict=True) if name in names)
    part = replace(recipe.pool, experts=kept, path=recipe.pool.path if kept else "", remote=remote, tools=tools)
    nodes = recipe.search.nodes
    search = replace(recipe.search, nodes=None if nodes is None else min(nodes, len(names)))
    return recipe.model_copy(update={"name": f"{recipe.name}-{label}", "pool": part, "search": search})


def pool_of(recipe: Recipe, study_name: str, least: int) -> ExpertPool:
    """The recipe's pool, of named experts, `least` at least, that parts can be taken of; else ConfigError."""
    pool = read_pool(recipe)
    if recipe.pool.populate or not (recipe.pool.path or recipe.pool.experts or recipe.pool.remote):
        raise ConfigError(
            [f"study {study_name} needs experts that {recipe.name} names (pool.path), not experts made for it"]
        )
    if len(pool.experts) < least:
        raise ConfigError(
            [f"study {study_name} needs a pool of at least {least} experts, {recipe.name} has {len(pool.experts)}"]
        )
    return pool
