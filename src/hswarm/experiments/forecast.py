"""What a search will cost, from a short calibration: its own first iterations on a few of its questions.

Equal calls can only be equal for one question, so the share of calls that reuse saves is the same on a few questions as
on all of them; so are tokens a call. Seconds are fitted to the calibration's batches (a batch, its prompt tokens, its
reply tokens) and laid over the batches that all questions will make, on as many workers as the recipe has.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hswarm.config.recipe import Recipe
from hswarm.engines import open_engine, worker_makers
from hswarm.engines.base import Ask, Completion, Engine, Request
from hswarm.engines.multiple_choice import answer
from hswarm.experts.expert import Expert
from hswarm.experts.remote import REMOTE_BASE
from hswarm.experts.tool import ToolExpert
from hswarm.methods import get_method
from hswarm.methods.hswarm import Search
from hswarm.runs.cost import Cost, Forecast, peak
from hswarm.runs.report import reported
from hswarm.session.checkpoint import Checkpointer
from hswarm.session.evaluator import Evaluator
from hswarm.session.session import Session, planned_calls
from hswarm.session.settings import BudgetSettings, SelectionSettings
from hswarm.system.cache import Cache
from hswarm.tasks.task import Example
from hswarm.workers.router import Work, makespan

_LEAST, _MOST = 3, 8  # questions that are calibrated on, a seventh of dev if that lies between
_GROWTH_CALLS = 24  # an expert, that growth is calibrated with
_ITERATIONS = 6  # the first differs from all later ones, and graphs grow alike: each is taken by itself


class _Batch(NamedTuple):
    """One batch of the calibration."""

    prompt: float
    completion: float
    seconds: float


@dataclass
class _Phase:
    """What one phase of the calibration did: its waves, each the calls of every expert, and its batches."""

    requested: int = 0
    wall: float = 0.0
    waves: list[Counter[str]] = field(default_factory=list)
    batches: list[_Batch] = field(default_factory=list)

    @property
    def generated(self) -> int:
        return sum(sum(wave.values()) for wave in self.waves)

    @property
    def beside_s(self) -> float:
        """Seconds that were not the engine's: planning, look-up, scoring, adding weights."""
        return self.wall - sum(batch.seconds for batch in self.batches)


class _Meter:
    """An engine that writes down what it is asked, by phase."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.phases = engine, dict[str, _Phase]()
        self.warm_up_s = 0.0
        self._phase = _Phase()

    def begin(self, name: str, requested: int) -> None:
        """What is asked from now on is of phase `name`."""
        self.end()
        self.phases[name] = self._phase = _Phase(requested, -time.perf_counter())

    def end(self) -> None:
        """The phase under way ends."""
        self._phase.wall += time.perf_counter()
        self._phase = _Phase()

    def warm_up(self, evaluator: Evaluator, dev: Sequence[Example]) -> None:
        """Two experts' answers to a whole batch of `dev`: the most memory. The first also compiles and allocates."""
        sampling, took = replace(evaluator.sampling, choose=""), []
        for name, expert in zip(("cold", "warm"), evaluator.pool.experts, strict=False):
            prompts = [evaluator.alone(expert).prompts.render(e) for e in dev[: evaluator.recipe.engine.usual_batch()]]
            self.begin(name, 0)
            self.generate([Request(expert, prompt, sampling) for prompt in prompts])
            took.append(self._phase.batches[-1].seconds)
        self.end()
        del self.phases["cold"]
        self.warm_up_s = max(0.0, took[0] - took[-1])

    @property
    def fingerprint(self) -> str:
        return self._engine.fingerprint

    def check(self, experts: Sequence[Expert]) -> None:
        self._engine.check(experts)

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        if requests:
            self._phase.waves.append(Counter(request.expert.digest for request in requests))
        return self._engine.batches(requests)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        began = time.perf_counter()
        made = list(answer(self._engine, requests))
        seconds = time.perf_counter() - began
        prompt, completion = (
            sum(getattr(reply, f"{what}_tokens") for reply in made) for what in ("prompt", "completion")
        )
        self._phase.batches.append(_Batch(prompt, completion, seconds))
        return made

    def spread(
        self, batches: Sequence[Sequence[Request]], guarded: Callable[[Sequence[Request], Ask], list[Completion]]
    ) -> Iterator[tuple[int, list[Completion]]]:
        """One after another; an engine that spreads takes options too."""
        yield from ((i, guarded(batch, self.generate)) for i, batch in enumerate(batches))


class _Phases(Checkpointer):
    """Tells the meter which phase begins."""

    def __init__(self, meter: _Meter) -> None:
        self._meter = meter

    def begin(self, phase: str, calls: int, ahead: int | None = None) -> None:
        self._meter.begin(phase, calls)


def forecast(session: Session) -> Forecast:
    """Calibrate a session's recipe, on its engine of one process (`recipe.engine.alone()`), on a few questions."""
    if session.recipe.search.method == "growth":
        return _of_growth(session)
    return forecasts(session, [_workers(session.recipe)])[0]


def _of_growth(session: Session) -> Forecast:
    """Of a search by growth that spends its whole budget: its first calls, and more like them.

    Later generations ask in batches as large as the first ones, so seconds and tokens a call stay alike.
    """
    recipe, began = session.recipe, time.monotonic()
    experts, workers = len(session.pool.experts), _workers(recipe)
    calls = planned_calls(recipe, experts, len(session.task.dev), len(session.task.test), session.task)
    few = min(calls["total"] - calls["test"], _GROWTH_CALLS * experts)
    with _calibrating(session, budget=BudgetSettings(calls=few)) as (meter, evaluator, _):
        get_method("growth", recipe.methods.get("growth"))(session.pool, evaluator, np.random.default_rng(recipe.seed))
        ledger = evaluator.budget.ledger
    wall = sum(phase.wall for name, phase in meter.phases.items() if name != "warm") / workers
    one = Cost(1, 1, *(n / ledger.generated for n in (ledger.prompt_tokens, ledger.completion_tokens, wall)))
    search, test = (Cost().plus(one, count) for count in (calls["total"] - calls["test"], calls["test"]))
    start, took = Cost(seconds=meter.warm_up_s), round(time.monotonic() - began, 1)
    return Forecast(start, (search,), test, peak() * (workers if recipe.engine.devices else 1), workers, few, took)


def forecasts(session: Session, workers: Sequence[int]) -> list[Forecast]:
    """The same for each of these numbers of workers, from one calibration."""
    recipe, began, few = session.recipe, time.monotonic(), _few(session)
    iterations = min(_ITERATIONS, recipe.search.iterations)
    search = replace(recipe.search, iterations=iterations, patience=_ITERATIONS + 1)
    changes = {"budget": BudgetSettings(), "selection": SelectionSettings(), "search": search}
    with _calibrating(session, few, **changes) as (meter, evaluator, trial):
        findings = Search(session.pool, evaluator, np.random.default_rng(recipe.seed)).go()
        systems = reported(findings, evaluator.select(findings.best), search.start_on_test)
        meter.begin("test", sum(system.calls for system in systems) * len(few))
        replace(trial, cache=Cache()).executor.run(systems, few, "test")
    took = round(time.monotonic() - began, 1)
    return [_scaled(session, meter, len(few), took, count) for count in workers]


@contextmanager
def _calibrating(
    session: Session, questions: Sequence[Example] = (), **changes: object
) -> Iterator[tuple[_Meter, Evaluator, Session]]:
    """The meter, warmed up, on the engine of a session with `changes` of its recipe, on `questions` of dev or all."""
    meter, dev = _Meter(session.engine), session.task.dev
    short = session.recipe.model_copy(update={"engine": session.recipe.engine.alone(), **changes})
    short = short.model_copy(update={"search": replace(short.search, cache="")})
    task = replace(session.task, dev=tuple(questions), test=()) if questions else session.task
    with tempfile.TemporaryDirectory() as folder, closing(Cache(Path(folder) / "search.sqlite")) as cache:
        trial = replace(session, recipe=short, task=task, engine=meter, cache=cache)
        evaluator = trial.evaluator
        evaluator.checkpointer = _Phases(meter)
        meter.warm_up(evaluator, dev)
        yield meter, evaluator, trial
        meter.end()


def _few(session: Session) -> tuple[Example, ...]:
    recipe, dev = session.recipe, session.task.dev
    count = min(len(dev), max(_LEAST, min(_MOST, len(dev) // 7)))
    chosen = np.random.default_rng([recipe.task.seed, 13]).permutation(len(dev))[:count]
    return tuple(dev[i] for i in sorted(chosen.tolist()))


def _scaled(session: Session, meter: _Meter, count: int, calibration_s: float, workers: int) -> Forecast:
    """From the meter's phases on `count` questions to the whole recipe on so many workers."""
    recipe, phases = session.recipe, meter.phases
    batches = [batch for phase in phases.values() for batch in phase.batches]
    rates, beside = fit_seconds(batches), max(0.0, sum(phase.beside_s for phase in phases.values())) / len(batches)
    held = round(recipe.selection.held_out * len(session.task.dev))

    def cost(name: str, questions: int) -> Cost:
        if name not in phases:
            return Cost()
        return _cost(phases[name], questions / count, recipe.engine.usual_batch(), rates, beside, workers)

    def iteration(t: int) -> Cost:
        roles, weights = (cost(f"iteration {t}: {step}", len(session.task.dev) - held) for step in ("roles", "weights"))
        return roles.plus(weights)

    start = cost("experts alone", len(session.task.dev) - held).plus(Cost(seconds=meter.warm_up_s))
    steps = tuple(iteration(t + 1) for t in range(min(_ITERATIONS, recipe.search.iterations)))
    test = cost("test", len(session.task.test))
    if held:
        test = test.plus(cost("iteration 1: roles", held), recipe.selection.finalists / recipe.search.graphs)
    memory = peak() * (workers if recipe.engine.devices else 1)
    return Forecast(start, steps, test, memory, workers, count, calibration_s)


def _cost(phase: _Phase, scale: float, batch: int, rates: NDArray[np.float64], beside: float, workers: int) -> Cost:
    """Of a phase on `scale` times its questions: its batches grow, up to `batch` calls.

    The search's own process takes `beside` seconds a batch, whatever the workers do.
    """
    calls = max(1, phase.generated)
    prompt = sum(one.prompt for one in phase.batches) / calls
    completion = sum(one.completion for one in phase.batches) / calls
    seconds = 0.0
    for wave in phase.waves:
        work = []
        for digest, made in wave.items():
            rest = made * scale
            while rest > 1e-9:
                rows = min(rest, batch)
                work.append(Work(digest, float(rates @ [1, rows * prompt, rows * completion])))
                rest -= rows
        seconds += makespan(work, workers) + beside * len(work)
    return Cost(
        phase.requested * scale,
        phase.generated * scale,
        prompt * phase.generated * scale,
        completion * phase.generated * scale,
        seconds,
    )


def fit_seconds(batches: Sequence[_Batch]) -> NDArray[np.float64]:
    """Seconds of a batch, of a prompt token and of a reply token, none negative: least squares of relative errors."""
    rows = np.array([[1, batch.prompt, batch.completion] for batch in batches], dtype=np.float64)
    seconds = np.maximum([batch.seconds for batch in batches], 1e-9)
    used = [0, 1, 2]
    while used:
        found = np.linalg.lstsq(rows[:, used] / seconds[:, None] ** 0.5, seconds**0.5, rcond=None)[0]
        if (found >= 0).all():
            break
        used.pop(int(found.argmin()))
    rates = np.zeros(3)
    rates[used] = found
    # Most time goes into few long batches: what was measured in all comes out in all.
    rates *= seconds.sum() / max(1e-9, float((rows @ rates).sum()))
    return rates


def _workers(recipe: Recipe) -> int:
    """How many processes answer."""
    engine = recipe.engine
    if engine.cluster:
        return engine.workers or 1
    return len(worker_makers(engine)) if engine.devices else 1


def open_calibrated(session: Session) -> Forecast:
    """`forecast` with an engine of its own where the recipe's own is spread over workers."""
    engine = session.recipe.engine.alone()
    if engine == session.recipe.engine:
        return forecast(session)
    return forecast(replace(session, engine=open_engine(engine, session.pool.bases, session.pool.experts)))


def is_remote(session: Session) -> bool:
    """Whether a calibration would ask somebody's API, which may cost money."""
    asks = any(isinstance(one, ToolExpert) and one.settings.kind == "http" for one in session.pool.experts)
    return asks or REMOTE_BASE in session.pool.bases
