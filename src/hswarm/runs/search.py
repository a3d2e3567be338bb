"""Heterogeneous Swarms (arXiv 2502.04510, Algorithm 3): role-step and weight-step in turn, until neither helps.

An iteration moves both swarms, decodes each adjacency once, scores the N topologies with expert i at node i
(role-step), then M random assignments of the experts on the best topology (weight-step, JFK-score). The best system
ever scored is kept whole.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hswarm.config import Recipe, read_recipe
from hswarm.core.decode import g_decode
from hswarm.core.jfk import draw_assignments, jfk_score
from hswarm.core.swarm import Swarm
from hswarm.core.topology import Topology
from hswarm.engines import TABLE, open_engine
from hswarm.engines.base import Engine, Sampling
from hswarm.errors import ConfigError, RunError
from hswarm.execution.cache import Cache
from hswarm.execution.execute import Executor, Ledger
from hswarm.execution.system import System
from hswarm.experts.adapter import Expert
from hswarm.experts.pool import ExpertPool, open_pool
from hswarm.registry import check_name
from hswarm.runs.objective import Evaluation, Objective
from hswarm.runs.progress import Progress
from hswarm.runs.report import final_report
from hswarm.runs.run import Run
from hswarm.scorers import get_scorer
from hswarm.tasks import load_task
from hswarm.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Kept:
    """A system with the dev scores that it got, and where: "start", "3/role" ..."""

    system: System
    scores: Any
    step: str

    @property
    def utility(self) -> float:
        return float(np.mean(self.scores))


@dataclass(frozen=True, eq=False)
class Findings:
    """What a search has come to: the experts alone, the best system of the first graphs, the best of all."""

    singles: tuple[Kept, ...]
    start: Kept
    best: Kept

    @property
    def best_single(self) -> Kept:
        return max(self.singles, key=lambda kept: kept.utility)


def search(recipe: Recipe | str | Path, path: str | Path | None = None, progress: Progress | None = None) -> Run:
    """Search as `recipe` (or the TOML file of that name) says, in a new run at `path` (default runs/<name>)."""
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    path = Path(path or f"runs/{recipe.name}")
    Run.check_new(path)  # before anything is loaded
    parts = open_parts(recipe)
    with Run.create(path, recipe) as run:
        Search(run, parts, progress or Progress()).go()
    return run


def resume(path: str | Path, progress: Progress | None = None) -> Run:
    """Continue the run at `path` from its last whole iteration. RunError if it is finished."""
    run = Run.open(path)
    if run.finished:
        raise RunError(f"{path} is finished; see it with: hswarm show {path}")
    with run:
        Search(run, open_parts(run.recipe), progress or Progress()).go()
    return run


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
    get_scorer(task.scorer)
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
    nodes = recipe.search.nodes
    if nodes is not None and nodes > len(pool.experts):
        raise ConfigError([f"search.nodes is {nodes}, the pool has {len(pool.experts)} experts; "
                           f"take at most {len(pool.experts)} nodes or add experts"])  # fmt: skip
    return pool


def stream(seed: int, purpose: str, iteration: int = 0) -> np.random.Generator:
    """The random numbers of one purpose in one iteration: the same whatever was drawn elsewhere."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), iteration])


class Search:
    """A search under way in a run. `go` continues from the checkpoint, if there is one."""

    def __init__(self, run: Run, parts: Parts, progress: Progress) -> None:
        recipe = run.recipe
        self._run, self._recipe, self._settings, self._progress = run, recipe, recipe.search, progress
        self._pool, self._task, self._engine = parts.pool, parts.task, parts.engine
        self._sampling = Sampling(
            recipe.sampling.max_new_tokens or self._task.max_new_tokens,
            recipe.sampling.temperature,
            recipe.sampling.top_p,
        )
        executor = Executor(
            self._engine, Cache(run.path / "cache.sqlite"), recipe.search.reuse, self._task.icl_prompt,
            progress=progress.advance,
        )  # fmt: skip
        self._objective = Objective(self._task, get_scorer(self._task.scorer), executor, self._sampling)
        self._nodes = recipe.search.nodes or len(self._pool.experts)
        self._iteration, self._stalled, self._earlier_s, self._began = 0, 0, 0.0, time.monotonic()

    def go(self) -> None:
        """Search to the end and write the report."""
        saved = self._run.load_state()
        if saved is None:
            self._run.rewind(0)
            self._start()
        else:
            self._restore(*saved)
        while not self._stop():
            self._iterate()
        self._finish()

    def _start(self) -> None:
        systems = [self._system(Topology.chain(1), [expert]) for expert in self._pool.experts]
        self._begin("experts alone", len(systems) * len(self._task.dev))
        singles = [Kept(e.system, e.scores, "start") for e in self._objective.evaluate(systems, "start")]
        by_score = sorted(range(len(singles)), key=lambda i: (-np.nan_to_num(singles[i].utility), i))
        self._members = sorted(by_score[: self._nodes])
        seed, shape = self._recipe.seed, (self._settings.graphs, self._nodes**2)
        adjacencies = stream(seed, "adjacency").uniform(0, 1, shape)
        positions = np.stack([expert.vector for expert in self._pool.experts])
        self._role = Swarm(adjacencies, self._recipe.role, stream(seed, "role"))
        self._weight = Swarm(positions, self._recipe.weight, stream(seed, "weight"))
        self._singles = tuple(singles)
        self._first: Kept | None = None
        self._best: Kept | None = None

    def _iterate(self) -> None:
        """One role-step and one weight-step, a line of history, a checkpoint."""
        t = self._iteration
        entry: dict[str, Any] = {"iteration": t}
        before = self._best.utility if self._best else -np.inf
        experts = self._pool.experts if "weight" not in self._settings.steps else self._moved()
        if t == 0 or "role" in self._settings.steps:
            entry["role"] = self._role_step(t, experts)
        if "weight" in self._settings.steps:
            entry["weight"] = self._weight_step(t, experts)
        assert self._best is not None
        self._stalled = 0 if self._best.utility > before else self._stalled + 1
        entry["best"] = {"utility": self._best.utility, "step": self._best.step}
        entry["calls"] = {"requested": self._ledger.requested, "generated": self._ledger.generated}
        self._iteration += 1
        self._run.append(entry)
        self._save()
        self._best.system.save(self._run.path / "best")
        self._progress.iteration(entry)

    def _moved(self) -> tuple[Expert, ...]:
        """The experts where the weight-step's swarm now stands."""
        positions = self._weight.ask()
        return tuple(e.moved(position) for e, position in zip(self._pool.experts, positions, strict=True))

    def _role_step(self, t: int, experts: Sequence[Expert]) -> dict[str, Any]:
        rng, decode = stream(self._recipe.seed, "decode", t), self._recipe.decode
        matrices = self._role.ask().reshape(-1, self._nodes, self._nodes)
        topologies = [g_decode(matrix, rng, decode.top_p, out_edges=decode.out_edges) for matrix in matrices]
        members = [experts[i] for i in self._members]
        self._begin(f"iteration {t + 1}: roles", len(topologies) * self._step_calls())
        evaluations = self._objective.evaluate([self._system(topo, members) for topo in topologies], f"{t}/role")
        utilities = [evaluation.utility for evaluation in evaluations]
        self._role.tell(np.array(utilities))
        best = self._consider(evaluations, f"{t}/role")
        self._now = best.system.topology
        self._first = self._first or best
        return {"utilities": utilities, "edges": sorted(self._now.edges)} | _faults(evaluations)

    def _weight_step(self, t: int, experts: Sequence[Expert]) -> dict[str, Any]:
        assert self._best is not None
        topology = self._best.system.topology if self._settings.weight_topology == "best" else self._now
        rng = stream(self._recipe.seed, "assignment", t)
        assignments = draw_assignments(self._settings.assignments, self._nodes, len(experts), rng, self._settings.draw)
        self._begin(f"iteration {t + 1}: weights", len(assignments) * self._step_calls())
        systems = [self._system(topology, [experts[i] for i in assignment]) for assignment in assignments]
        evaluations = self._objective.evaluate(systems, f"{t}/weight")
        utilities = [evaluation.utility for evaluation in evaluations]
        jfk = jfk_score(assignments, np.array(utilities), len(experts))
        self._weight.tell(jfk.score)
        self._consider(evaluations, f"{t}/weight")
        scores = {
            e.name: None if np.isnan(value) else value for e, value in zip(experts, jfk.score.tolist(), strict=True)
        }
        return {"utilities": utilities, "jfk": scores} | _faults(evaluations)

    def _consider(self, evaluations: Sequence[Evaluation], step: str) -> Kept:
        """The best of `evaluations`, kept if it is the best so far. All failed: the run stops and can be resumed."""
        whole = [evaluation for evaluation in evaluations if not np.isnan(evaluation.utility)]
        if not whole:
            raise RunError(f"every system of step {step} had failed calls; see the engine, then resume the run")
        top = max(whole, key=lambda evaluation: evaluation.utility)
        kept = Kept(top.system, top.scores, step)
        if self._best is None or kept.utility > self._best.utility:
            self._best = kept
        return kept

    def _stop(self) -> dict[str, int]:
        if self._iteration >= self._settings.iterations:
            return {"iterations": self._iteration}
        return {"patience": self._stalled} if self._stalled >= self._settings.patience else {}

    def _finish(self) -> None:
        assert self._first is not None
        assert self._best is not None
        findings = Findings(self._singles, self._first, self._best)
        systems = [findings.best_single.system, findings.start.system, findings.best.system]
        self._progress.begin("test", (1 + 2 * self._nodes) * len(self._task.test), 0)
        tests = self._objective.final(systems) if self._task.test else []
        wall = self._earlier_s + time.monotonic() - self._began
        self._best.system.save(self._run.path / "best")
        final_report(self._run, self._task, findings, tests, self._ledger,
                     {"iterations": self._iteration, "stopped": self._stop(), "wall_s": round(wall, 1)},
                     stream(self._recipe.seed, "report"))  # fmt: skip

    def _system(self, topology: Topology, experts: Sequence[Expert]) -> System:
        return System(
            topology, tuple(experts), self._recipe.prompts, self._pool.base, self._recipe.engine, self._sampling
        )

    @property
    def _ledger(self) -> Ledger:
        return self._objective.executor.ledger

    def _step_calls(self) -> int:
        return self._nodes * len(self._task.dev)

    def _begin(self, phase: str, calls: int) -> None:
        ahead = planned_calls(self._recipe, len(self._pool.experts), len(self._task.dev), len(self._task.test))
        self._progress.begin(phase, calls, max(0, ahead["total"] - self._ledger.requested - calls))

    def _save(self) -> None:
        """Checkpoint: all that `_restore` needs to go on bit for bit."""
        tensors: dict[str, Any] = {}
        state: dict[str, Any] = {
            "iteration": self._iteration,
            "stalled": self._stalled,
            "members": self._members,
            "ledger": asdict(self._ledger),
            "now": self._now.to_json(),
            "wall_s": self._earlier_s + time.monotonic() - self._began,
        }
        for name, swarm in (("role", self._role), ("weight", self._weight)):
            state[name] = _split(swarm.state(), f"{name}.", tensors)
        for name, kept in (("first", self._first), ("best", self._best)):
            assert kept is not None
            state[name] = {"step": kept.step, "topology": kept.system.topology.to_json(),
                           "experts": kept.system.assignment}  # fmt: skip
            tensors[f"{name}.scores"] = kept.scores
            distinct = {expert.digest: expert for expert in kept.system.experts}
            state[name]["digests"] = [list(distinct).index(expert.digest) for expert in kept.system.experts]
            tensors[f"{name}.vectors"] = np.stack([expert.vector for expert in distinct.values()])
        tensors["singles"] = np.stack([kept.scores for kept in self._singles])
        self._run.save_state(tensors, state)

    def _restore(self, tensors: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        self._iteration, self._stalled, self._members = state["iteration"], state["stalled"], state["members"]
        self._earlier_s, self._now = state["wall_s"], Topology.from_json(state["now"])
        self._objective.executor.ledger = Ledger(**state["ledger"])
        self._role = Swarm.from_state(_join(state["role"], "role.", tensors), self._recipe.role)
        self._weight = Swarm.from_state(_join(state["weight"], "weight.", tensors), self._recipe.weight)
        self._first, self._best = (self._kept(name, tensors, state[name]) for name in ("first", "best"))
        self._singles = tuple(
            Kept(self._system(Topology.chain(1), [expert]), scores, "start")
            for expert, scores in zip(self._pool.experts, tensors["singles"], strict=True)
        )
        self._run.rewind(self._iteration)

    def _kept(self, name: str, tensors: Mapping[str, Any], entry: Mapping[str, Any]) -> Kept:
        by_name = {expert.name: expert for expert in self._pool.experts}
        experts = [
            by_name[expert].moved(tensors[f"{name}.vectors"][row])
            for expert, row in zip(entry["experts"], entry["digests"], strict=True)
        ]
        system = self._system(Topology.from_json(entry["topology"]), experts)
        return Kept(system, tensors[f"{name}.scores"], entry["step"])


def planned_calls(recipe: Recipe, experts: int, dev: int, test: int) -> dict[str, int]:
    """Calls that a recipe asks for at most, by phase; reuse and an early end make them fewer."""
    settings = recipe.search
    nodes = settings.nodes or experts
    role = settings.graphs * nodes * dev
    roles = role * (settings.iterations if "role" in settings.steps else 1)
    weights = settings.assignments * nodes * dev * (settings.iterations if "weight" in settings.steps else 0)
    phases = {
        "experts alone": experts * dev,
        "role-steps": roles,
        "weight-steps": weights,
        "test": (1 + 2 * nodes) * test,
    }
    return phases | {"total": sum(phases.values())}


def _faults(evaluations: Sequence[Evaluation]) -> dict[str, int]:
    """Replies of a step that could not be scored as meant."""
    return {name: sum(getattr(e, name) for e in evaluations) for name in ("unparsed", "empty", "cut", "failed")}


def _split(state: Mapping[str, Any], prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    """The JSON-able part of `state`; its arrays go to `tensors`."""
    tensors |= {prefix + key: value for key, value in state.items() if isinstance(value, np.ndarray)}
    return {key: value for key, value in state.items() if not isinstance(value, np.ndarray)}


def _join(state: Mapping[str, Any], prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    arrays = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return {**state, **arrays}
