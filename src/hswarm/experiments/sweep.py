"""Many searches of one recipe with other settings: Optuna says which, each is a run, all share their calls.

A sweep's directory holds `recipe.toml`, `sweep.json` (what varies and how), `study.journal` (Optuna's), `calls.sqlite`
(shared by all trials), `trials/<number>/` (a run each), and in the end `best.toml`, `results.json` and two
pictures. Started again it goes on: a trial that was interrupted from its last whole iteration. Trials see dev alone;
test is looked at by whoever searches with `best.toml`.
"""

from __future__ import annotations

import itertools
import json
import math
import tomllib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from pydantic import TypeAdapter

from hswarm import io
from hswarm.config.recipe import Recipe, build_recipe, read_recipe, same_recipe, varied
from hswarm.errors import ConfigError, MissingExtra, RunError, UserError
from hswarm.experiments.parallel import each
from hswarm.experiments.parameters import Parameter
from hswarm.experiments.search import carry_on
from hswarm.records import Record
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress
from hswarm.session.records import HistoryEntry
from hswarm.session.session import Session
from hswarm.session.settings import SearchSettings

if TYPE_CHECKING:
    import optuna

Sampler = Literal["tpe", "random", "grid", "cmaes"]
Pruner = Literal["median", "halving", "none"]


@dataclass(frozen=True)
class Plan:
    """What a sweep varies, how values are drawn, and which trials are given up early."""

    space: tuple[Parameter, ...]
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    seed: int = 0


Value = bool | int | float | str  # of a parameter; lists and tables are JSON


class Trial(Record):
    """A trial of a sweep: its parameters by name, its dev score, None unless it was searched to the end."""

    trial: int
    state: str
    score: float | None
    parameters: dict[str, Value]
    iterations: int
    fault: str


class Swept(Record):
    """results.json: the best trial, what the score depends on (shares by parameter; None: too few trials), all."""

    best: Trial
    importance: dict[str, float] | None
    trials: list[Trial]


class Slot(NamedTuple):
    """The place of one trial: its number, the sweep's folder, whether others run beside it."""

    number: int
    path: Path
    alone: bool


def sweep(
    recipe: Recipe, plan: Plan, trials: int, path: Path, jobs: int = 1, say: Callable[[str], None] = print
) -> Swept:
    """Carry out what is missing of `trials` trials, `jobs` at a time; returns what results.json holds."""
    if trials < 1 or jobs < 1:
        raise ConfigError([f"--trials and --jobs must be at least 1, got {trials} and {jobs}"])
    if plan.sampler == "grid" and any(not dimension.choices for dimension in plan.space):
        raise ConfigError(["--sampler grid needs lists of values, not ranges (--over field=[1, 2])"])
    if plan.sampler == "grid":
        trials = min(trials, math.prod(len(dimension.choices) for dimension in plan.space))
    _check_optuna()
    for dimension in plan.space:
        for value in dimension.labels or (dimension.low, dimension.high):
            varied(recipe, dimension.overrides(value))
    _keep(recipe, plan, path)
    done = {number for number, trial in _by_number(_study(path, plan)).items() if trial.state.is_finished()}
    waiting = [Slot(number, path, jobs > 1) for number in range(trials) if number not in done]
    if done:
        say(f"{len(done)} trials are there already")
    for _, line in each(make, waiting, [""] * len(waiting), jobs, recipe.engine):
        say(line)
    return _results(_study(path, plan), plan, path)


def make(slot: Slot) -> str:
    """Carry out one trial, or what is left of it; returns a line about it."""
    import optuna

    plan = _read_plan(slot.path)
    study = _study(slot.path, plan, slot.number, slot.alone)
    begun = _by_number(study).get(slot.number)
    if begun is None:
        trial = study.ask({dimension.name: _distribution(dimension) for dimension in plan.space})
        trial.set_user_attr("slot", slot.number)
    else:
        trial = optuna.trial.Trial(study, begun._trial_id)
    head = f"trial {slot.number}: {_short(trial.params)}"
    try:
        value, iterations = _run(slot, plan, trial)
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        return f"{head}: given up early"
    except UserError as fault:
        trial.set_user_attr("fault", str(fault))
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return f"{head}: {fault}"
    trial.set_user_attr("iterations", iterations)
    study.tell(trial, value)
    return f"{head}: dev {value:.3f} after {iterations} iterations"


def _run(slot: Slot, plan: Plan, trial: optuna.trial.Trial) -> tuple[float, int]:
    """The score of a trial's search, on held-out dev if the recipe holds some out, and its iterations."""
    overrides = [text for dimension in plan.space for text in dimension.overrides(trial.params[dimension.name])]
    recipe = varied(read_recipe(slot.path / "recipe.toml"), overrides)
    if slot.alone:
        recipe = recipe.model_copy(update={"engine": recipe.engine.alone()})
    folder = slot.path / "trials" / f"{slot.number:04d}"
    run = Run.open(folder) if (folder / "config.toml").is_file() else Run.create(folder, recipe)
    if not run.finished:
        part = Recipe(
            pool=recipe.pool, task=recipe.task, engine=recipe.engine, search=SearchSettings(nodes=recipe.search.nodes)
        )
        with run:
            carry_on(run, _session(part.to_toml()), _Watch(trial))
    report = run.report
    held_out = report.selection
    score = held_out.finalists[held_out.chosen].held_out if held_out else report.dev.score
    if score is None:
        raise RunError(f"{folder}: no dev question could be scored")
    return score, report.iterations


class _Watch(Progress):
    """Tells Optuna the best so far after every iteration, and gives up a trial when it says so."""

    def __init__(self, trial: optuna.trial.Trial) -> None:
        self._trial = trial

    def iteration(self, entry: HistoryEntry) -> None:
        import optuna

        self._trial.report(entry.best.utility, entry.iteration)
        if self._trial.should_prune():
            raise optuna.TrialPruned


@lru_cache(maxsize=1)
def _session(text: str) -> Session:
    """Pool, task without its test split, and engine: those of the trial before, if it had the same."""
    session = Session.load(build_recipe(tomllib.loads(text)))
    return replace(session, task=replace(session.task, test=()))


def _keep(recipe: Recipe, plan: Plan, path: Path) -> None:
    """Recipe and plan in the sweep's directory; RunError if others are there."""
    if not recipe.search.cache:
        shared = str((path / "calls.sqlite").resolve())
        recipe = recipe.model_copy(update={"search": replace(recipe.search, cache=shared)})
    plan_text = json.dumps(asdict(plan), indent=2) + "\n"
    own = path / "recipe.toml", path / "sweep.json"
    others = [
        own[0].is_file() and not same_recipe(own[0], recipe),
        own[1].is_file() and own[1].read_text(encoding="utf-8") != plan_text,
    ]
    for file, other in zip(own, others, strict=True):
        if other:
            raise RunError(f"{path} holds a sweep with another {file.name}; take another folder (--run)")
    io.write_text(own[0], recipe.to_toml())
    io.write_text(own[1], plan_text)


def _read_plan(path: Path) -> Plan:
    return TypeAdapter(Plan).validate_python(io.read_json(path / "sweep.json", "a sweep"))


def _check_optuna() -> None:
    try:
        import optuna
    except ImportError as missing:
        raise MissingExtra("hswarm sweep", "train") from missing
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def _study(path: Path, plan: Plan, number: int = 0, beside: bool = False) -> optuna.Study:
    """The study on disk. What trial `number` draws depends on it, the seed and the trials before: not on restarts."""
    _check_optuna()
    import optuna
    from optuna.storages.journal import JournalFileBackend

    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path / "study.journal")))
    seed = plan.seed * 100_003 + number
    samplers: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=beside),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "grid": lambda: _fixed(_point(plan, number)),
        "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=seed),
    }
    pruners = {
        "median": optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
        "halving": optuna.pruners.SuccessiveHalvingPruner(),
        "none": optuna.pruners.NopPruner(),
    }
    study: optuna.Study = optuna.create_study(
        storage=storage,
        study_name="sweep",
        direction="maximize",
        load_if_exists=True,
        sampler=samplers[plan.sampler](),
        pruner=pruners[plan.pruner],
    )
    return study


def _fixed(point: Mapping[str, Value]) -> optuna.samplers.BaseSampler:
    """A sampler of one point. Optuna's own of a grid counts points by itself, which two processes do twice."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(dict(point), optuna.samplers.RandomSampler())


def _point(plan: Plan, number: int) -> dict[str, Value]:
    """Point `number` of the grid, in an order drawn by seed."""
    points = list(itertools.product(*(dimension.labels for dimension in plan.space)))
    order = np.random.default_rng(plan.seed).permutation(len(points))
    return {d.name: value for d, value in zip(plan.space, points[order[number % len(points)]], strict=True)}


def _distribution(dimension: Parameter) -> optuna.distributions.BaseDistribution:
    import optuna

    if dimension.choices:
        return optuna.distributions.CategoricalDistribution(dimension.labels)
    if isinstance(dimension.low, int) and isinstance(dimension.high, int):
        return optuna.distributions.IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _by_number(study: optuna.Study) -> dict[int, optuna.trial.FrozenTrial]:
    """Trials by their slot; one that was interrupted before it had one does not count."""
    return {trial.user_attrs["slot"]: trial for trial in study.trials if "slot" in trial.user_attrs}


def _short(parameters: Mapping[str, Value]) -> str:
    return ", ".join(
        f"{name.split(',')[0]} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in parameters.items()
    )


def _results(study: optuna.Study, plan: Plan, path: Path) -> Swept:
    """The trials, the best first, what mattered, and the best recipe, written out."""
    found = sorted(_by_number(study).items(), key=lambda item: item[0])
    rows = [
        Trial(
            trial=number,
            state=trial.state.name.lower(),
            score=trial.value,
            parameters=trial.params,
            # a kill may lose what was told of an iteration, so a whole trial counts its own
            iterations=trial.user_attrs.get("iterations", len(trial.intermediate_values)),
            fault=trial.user_attrs.get("fault", ""),
        )
        for number, trial in found
    ]
    whole = [(row.score, -row.trial, row) for row in rows if row.state == "complete" and row.score is not None]
    if not whole:
        raise RunError(f"no trial finished: {rows[0].fault or rows[0].state if rows else 'there is none'}")
    *_, best = max(whole)
    overrides = [text for dimension in plan.space for text in dimension.overrides(best.parameters[dimension.name])]
    io.write_text(path / "best.toml", varied(read_recipe(path / "recipe.toml"), overrides).to_toml())
    results = Swept(best=best, importance=_importance(study, len(whole)), trials=rows)
    io.write_text(path / "results.json", json.dumps(results.content(), indent=2) + "\n")
    return results


def _importance(study: optuna.Study, whole: int) -> dict[str, float] | None:
    """Each dimension's share of what the scores' differences come from (PED-ANOVA); None for too few trials."""
    import optuna

    if whole < 4 or len({trial.value for trial in study.trials if trial.value is not None}) < 2:
        return None
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}
