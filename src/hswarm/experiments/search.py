"""A search in a run's directory: opened from a recipe, resumable at any moment, reported at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hswarm import io
from hswarm.config.recipe import Recipe, read_recipe
from hswarm.core.streams import stream
from hswarm.errors import ConfigError, RunError
from hswarm.io import Array
from hswarm.methods import get_method
from hswarm.report.tracking import tracked
from hswarm.runs.answers import keep_answers
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress
from hswarm.runs.report import final_report, reported
from hswarm.session.budget import BudgetSpent
from hswarm.session.checkpoint import Checkpointer, Findings, S
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.session.records import Best, HistoryEntry, State, Step, faults
from hswarm.session.session import Session, planned_calls
from hswarm.system.system import System

FORECAST = ("growth", "hswarm")  # methods whose cost can be forecast


def search(
    recipe: Recipe | str | Path,
    path: str | Path | None = None,
    progress: Progress | None = None,
    *,
    calibrate: bool = False,
) -> Run:
    """Search as `recipe` (or the TOML file of that name) says, in a new run at `path` (default runs/<name>).

    `calibrate`: first forecast what it will cost; the report then has the forecast beside the actual cost.
    """
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    path = Path(path or f"runs/{recipe.name}")
    _check_method(recipe, calibrate)
    Run.check_new(path)  # before anything is loaded
    with Session.open(recipe) as session, Run.create(path, recipe) as run:
        if calibrate:
            _keep_forecast(run, session, progress or Progress())
        carry_on(run, session, progress or Progress())
    return run


def _check_method(recipe: Recipe, calibrate: bool) -> None:
    """ConfigError unless the recipe's method and its settings are known, and can be forecast if that is asked for."""
    name = recipe.search.method
    get_method(name, recipe.methods.get(name))
    if calibrate and name not in FORECAST:
        known = " or ".join(f"'{method}'" for method in FORECAST)
        raise ConfigError([f"a forecast is of method {known}, the recipe has '{name}'; leave out --forecast"])


def _keep_forecast(run: Run, session: Session, progress: Progress) -> None:
    from hswarm.experiments.forecast import open_calibrated

    made = open_calibrated(session)
    made.write(run.path / "forecast.json")
    progress.say(made.text(run.recipe.search.iterations))


def resume(path: str | Path, progress: Progress | None = None) -> Run:
    """Continue the run at `path` from its last whole iteration. RunError if it is finished."""
    run = Run.open(path)
    if run.finished:
        raise RunError(f"{path} is finished; see it with: hswarm show {path}")
    with run, Session.open(run.recipe) as session:
        carry_on(run, session, progress or Progress())
    return run


def carry_on(run: Run, session: Session, progress: Progress) -> None:
    """Search from the checkpoint, if there is one, to the end; then look at test and write the report."""
    with tracked(run, progress) as watching:
        with replace(session, recipe=run.recipe).keeping(run.path / "cache.sqlite", watching.advance) as kept:
            _carry_on(run, kept, watching)
        watching.end(run)
    if run.recipe.search.clean_up:
        run.clean_up()


def _carry_on(run: Run, session: Session, progress: Progress) -> None:
    recipe, task, evaluator = run.recipe, session.task, session.evaluator
    evaluator.checkpointer = checkpointer = RunCheckpointer(run, evaluator, progress)
    findings = _find(evaluator, checkpointer)
    selection = evaluator.select(findings.best)
    if not selection.held_out:  # a method may return what it never scored
        selection = selection._replace(finalists=[evaluator.seen(findings.best)], chosen=0)
    systems = reported(findings, selection, recipe.search.start_on_test)
    progress.begin("test", sum(evaluator.calls(system.calls, len(task.test)) for system in systems), 0)
    tests = evaluator.final(systems) if task.test else []
    selection.system.save(run.path / "best")
    keep_answers(run, evaluator, findings, selection)
    final_report(run, evaluator, findings, selection, tests, stream(recipe.seed, "report"))


def _find(evaluator: Evaluator, checkpointer: RunCheckpointer) -> Findings:
    """Run the recipe's method, from its checkpoint if it keeps some, to its end."""
    recipe = evaluator.recipe
    method = get_method(recipe.search.method, recipe.methods.get(recipe.search.method))
    spent = False
    try:
        found = method(evaluator.pool, evaluator, np.random.default_rng(recipe.seed))
    except BudgetSpent:
        if checkpointer.own or evaluator.archive.best is None:
            raise
        spent, found = True, evaluator.archive.best.system
    if findings := checkpointer.findings:
        start = findings.start if findings.start.whole else evaluator.seen(findings.start.system)
        return replace(findings, start=start)
    lines, singles = checkpointer.lines, tuple(evaluator.singles())
    stopped = {"budget": evaluator.budget.ledger.generated} if spent else {"steps": lines}
    findings = Findings(singles, singles[0], found, lines, stopped)
    return replace(findings, start=checkpointer.start or findings.best_single)


class RunCheckpointer(Checkpointer):
    """Keeps a search in a run's directory and tells whoever watches.

    A method without checkpoints of its own gets a line of history for each `evaluate` on all of the searched dev. When
    resumed it is run again from its start: its calls are in the run's cache, so the lines, and what they count, are
    equal.
    """

    intervals = True

    def __init__(self, run: Run, evaluator: Evaluator, progress: Progress) -> None:
        self._run, self._evaluator, self._progress = run, evaluator, progress
        self._saved = ""  # the step that found the best system that this process wrote
        self._begun = False
        self._earlier = State(iteration=0, wall_s=0.0)  # of an interrupted run of another method
        self.own = False  # whether the method keeps checkpoints
        self.findings: Findings | None = None
        self.start: Evaluation | None = None  # the best of the first graphs that were scored
        self.lines = 0

    def begin(self, phase: str, calls: int, ahead: int | None = None) -> None:
        if ahead is None:
            task = self._evaluator.task
            sizes = len(self._evaluator.pool.experts), len(self._evaluator.dev), len(task.test)
            planned = planned_calls(self._run.recipe, *sizes, task)
            ahead = max(0, planned["total"] - self._evaluator.budget.ledger.requested - calls)
        self._progress.begin(phase, calls, ahead)

    def keep(self, entry: HistoryEntry, tensors: Mapping[str, Array], state: State, best: System) -> None:
        self._run.save_places(entry.iteration, tensors)
        self._run.append(entry)
        self._save(tensors, state)
        self._save_best(best, entry.best.step)
        self._forget(entry.iteration + 1)
        self._progress.iteration(entry)

    def kept(self, form: type[S]) -> tuple[dict[str, Array], S] | None:
        self.own = True
        saved = self._run.load_state(form)
        self._run.rewind(saved[1].iteration if saved else 0)
        if saved:
            self._forget(saved[1].iteration)
            self._take_over(saved[1])
        self._progress.start(self._run)
        return saved

    def earlier(self, form: type[S]) -> tuple[dict[str, Array], S] | None:
        start = self._run.recipe.search.start
        if not start or (own := self._run.load_state(form)):
            return own if start else None  # once begun, it stands on its own
        found = Run.open(start).load_state(form)
        if found is None:
            raise RunError(f"{start} has no checkpoint to go on from (search.clean_up removes it); search again")
        self._evaluator.executor.cache.take(Path(start) / "cache.sqlite")
        return found

    def end(self, findings: Findings) -> None:
        self.findings = findings

    def scoring(self, step: str, calls: int) -> None:
        if self.own:
            return
        if not self._begun:
            self._begun = True
            self._run.rewind(0)
            if saved := self._run.load_state(State):
                self._earlier = saved[1]
                self._take_over(self._earlier)
            self._progress.start(self._run)
        self._progress.begin(step, calls, 0)

    def scored(self, evaluations: Sequence[Evaluation], whole: bool) -> None:
        best = self._evaluator.archive.best
        if self.own or not whole or best is None or not evaluations:
            return
        graphs = [found for found in evaluations if found.system.topology.size > 1 and not np.isnan(found.utility)]
        if graphs and self.start is None:
            self.start = max(graphs, key=lambda found: found.utility)
        budget, utilities = self._evaluator.budget, io.without_nan([found.utility for found in evaluations])
        line = HistoryEntry.of(self.lines, Best(utility=best.utility, step=best.step), budget.ledger)
        line.scored = Step(step=evaluations[0].step, utilities=utilities).counting(faults(evaluations))
        self.lines += 1
        if self._earlier.iteration == self.lines:  # from here on the work is new
            budget.earlier_s += self._earlier.wall_s
        self._run.append(line)
        if self.lines >= self._earlier.iteration:
            self._save({}, State(iteration=self.lines, wall_s=budget.seconds))
        self._save_best(best.system, best.step)
        self._progress.iteration(line)

    def _save(self, tensors: Mapping[str, Array], state: State) -> None:
        executor = self._evaluator.executor
        learnt = {"most": executor.guard.most, "engine": executor.engine.fingerprint}
        self._run.save_state(tensors, state.model_copy(update=learnt))

    def _save_best(self, best: System, step: str) -> None:
        if step != self._saved:
            best.save(self._run.path / "best")
            self._saved = step

    def _take_over(self, state: State) -> None:
        """What the engine had learnt; a warning if it is another one now."""
        executor = self._evaluator.executor
        executor.guard.most = state.most
        if state.engine != (now := executor.engine.fingerprint):
            self._progress.say(
                f"warning: this run began with engine {state.engine}, now it is {now}: "
                "calls made before are not reused, and replies may differ"
            )

    def _forget(self, done: int) -> None:
        """Drop the calls that the run no longer keeps after so many iterations; also on resuming, for equal counts."""
        if keep := self._run.recipe.search.keep_calls:
            self._evaluator.executor.cache.forget(done - keep)
