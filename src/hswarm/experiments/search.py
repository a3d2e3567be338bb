"""A search in a run's directory: opened from a recipe, resumable at any moment, reported at its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from hswarm import io
from hswarm.config.recipe import Recipe, read_recipe
from hswarm.core.streams import stream
from hswarm.engines.base import close
from hswarm.errors import RunError
from hswarm.methods.base import Checkpointer
from hswarm.methods.hswarm import Search
from hswarm.report.tracking import tracked
from hswarm.runs.answers import keep_answers
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress
from hswarm.runs.report import final_report, reported
from hswarm.session.evaluator import Evaluator
from hswarm.session.session import Parts, open_parts, planned_calls, shared_cache
from hswarm.system.cache import Cache
from hswarm.system.executor import Executor
from hswarm.system.system import System


def search(
    recipe: Recipe | str | Path,
    path: str | Path | None = None,
    progress: Progress | None = None,
    *,
    calibrate: bool = False,
) -> Run:
    """Search as `recipe` (or the TOML file of that name) says, in a new run at `path` (default runs/<name>).

    `calibrate`: first forecast what it will cost; the report then has the forecast beside what came.
    """
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    path = Path(path or f"runs/{recipe.name}")
    Run.check_new(path)  # before anything is loaded
    parts = open_parts(recipe)
    try:
        with Run.create(path, recipe) as run:
            if calibrate:
                _keep_forecast(run, parts, progress or Progress())
            carry_on(run, parts, progress or Progress())
    finally:
        close(parts.engine)
    return run


def _keep_forecast(run: Run, parts: Parts, progress: Progress) -> None:
    from hswarm.experiments.forecast import open_calibrated

    made = open_calibrated(run.recipe, parts)
    io.write_text(run.path / "forecast.json", json.dumps(made.to_json(), indent=2) + "\n")
    progress.say(made.text(run.recipe.search.iterations))


def resume(path: str | Path, progress: Progress | None = None) -> Run:
    """Continue the run at `path` from its last whole iteration. RunError if it is finished."""
    run = Run.open(path)
    if run.finished:
        raise RunError(f"{path} is finished; see it with: hswarm show {path}")
    with run:
        parts = open_parts(run.recipe)
        try:
            carry_on(run, parts, progress or Progress())
        finally:
            close(parts.engine)
    return run


def carry_on(run: Run, parts: Parts, progress: Progress) -> None:
    """Search from the checkpoint, if there is one, to the end; then look at test and write the report."""
    with tracked(run, progress) as watching:
        with closing(Cache(run.path / "cache.sqlite", shared_cache(run.recipe))) as cache:
            _carry_on(run, parts, watching, cache)
        watching.end(run)
    if run.recipe.search.clean_up:
        run.clean_up()


def _carry_on(run: Run, parts: Parts, progress: Progress, cache: Cache) -> None:
    recipe, task = run.recipe, parts.task
    executor = Executor(parts.engine, cache, recipe.search.reuse, progress=progress.advance, settings=recipe.engine)
    evaluator = Evaluator(task, recipe, parts.pool, executor)
    journal = RunJournal(run, evaluator, progress)
    findings = Search(parts.pool, evaluator, np.random.default_rng(recipe.seed), journal).go()
    selection = evaluator.select(findings.best)
    systems = reported(findings, selection, recipe.search.start_on_test)
    progress.begin("test", sum(evaluator.calls(system.calls, len(task.test)) for system in systems), 0)
    tests = evaluator.final(systems) if task.test else []
    selection.system.save(run.path / "best")
    keep_answers(run, evaluator, findings, selection)
    final_report(run, evaluator, findings, selection, tests, stream(recipe.seed, "report"))


class RunJournal(Checkpointer):
    """Keeps a search in a run's directory and tells whoever watches."""

    intervals = True

    def __init__(self, run: Run, evaluator: Evaluator, progress: Progress) -> None:
        self._run, self._evaluator, self._progress = run, evaluator, progress
        self._saved = ""  # the step that found the best system that this process wrote

    def begin(self, phase: str, calls: int) -> None:
        task = self._evaluator.task
        sizes = len(self._evaluator.pool.experts), len(self._evaluator.dev), len(task.test)
        planned = planned_calls(self._run.recipe, *sizes, task)
        self._progress.begin(phase, calls, max(0, planned["total"] - self._evaluator.budget.ledger.requested - calls))

    def keep(
        self, entry: Mapping[str, Any], tensors: Mapping[str, Any], state: Mapping[str, Any], best: System
    ) -> None:
        executor = self._evaluator.executor
        self._run.save_places(entry["iteration"], tensors)
        self._run.append(entry)
        self._run.save_state(tensors, {**state, "most": executor.guard.most, "engine": executor.engine.fingerprint})
        if entry["best"]["step"] != self._saved:
            best.save(self._run.path / "best")
            self._saved = entry["best"]["step"]
        self._forget(entry["iteration"] + 1)
        self._progress.iteration(entry)

    def _forget(self, done: int) -> None:
        """Drop the calls that the run keeps no longer after so many iterations: again on resuming, for equal counts."""
        if keep := self._run.recipe.search.keep_calls:
            self._evaluator.executor.cache.forget(done - keep)

    def kept(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        saved = self._run.load_state()
        self._run.rewind(saved[1]["iteration"] if saved else 0)
        if saved:
            self._forget(saved[1]["iteration"])
            executor = self._evaluator.executor
            executor.guard.most = saved[1].get("most")
            if saved[1].get("engine") != (now := executor.engine.fingerprint):
                self._progress.say(
                    f"warning: this run began with engine {saved[1].get('engine')}, now it is {now}: "
                    "calls made before are not reused, and replies may differ"
                )
        self._progress.start(self._run)
        return saved
