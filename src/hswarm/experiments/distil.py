"""`hswarm distil`: train one adapter on the answers of the system that a run found, so that one call does for many.

The system answers questions that are neither dev nor test: generated ones, or those of a file. What is right is not
looked at. Its answers, with the prompt that an expert alone reads, are the lessons; training is that of `hswarm experts
train` (training/train.py). Both parts go on where they were interrupted: calls are in the run's cache.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hswarm import io
from hswarm.analysis.context import AnalysisContext, Options
from hswarm.core.streams import stream
from hswarm.errors import ConfigError, RunError, TaskError
from hswarm.experts.adapter import Adapter
from hswarm.records import Record
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress
from hswarm.runs.report import paired_gain, summary
from hswarm.runs.schema import Gain, Summary
from hswarm.system.system import System
from hswarm.tasks import TaskSettings, load_task
from hswarm.tasks.task import Example
from hswarm.training.data import TRAIN_SEED
from hswarm.training.exam import exam
from hswarm.training.train import train_pool

RECIPE, LESSONS = "distil.toml", "lessons.jsonl"
_FEWEST = 8  # lessons, a quarter of them held out


@dataclass(frozen=True)
class DistilSettings:
    """How many questions the system answers (`data`: those of a file instead of generated ones), and the training."""

    questions: int = 3000
    data: str = ""
    steps: int = 300
    rank: int = 8
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        if min(self.questions, self.steps, self.rank) < 1 or not 0 < self.learning_rate < 1:
            raise ConfigError(["questions, steps and rank must be at least 1, the learning rate between 0 and 1"])


class Answerer(Record):
    """Who answers test, with how many calls an answer."""

    name: str
    test: Summary
    calls: int


class DistilReport(Record):
    """distil.json: `kept` is the part of the system's gain over the best single expert that the new one has too."""

    rows: list[Answerer]
    less_system: Gain | None
    less_single: Gain | None
    kept: float | None
    lessons: int
    calls: int


def distil(
    run: Run, folder: Path, settings: DistilSettings, progress: Progress, say: Callable[[str], None] = print
) -> DistilReport:
    """Write the expert to `folder`/distilled, with lessons, training recipe and distil.json beside it.

    RunError if the system is not of adapters of one base.
    """
    system, lessons, asked = _answered(run, settings, progress)
    io.write_text(folder / RECIPE, _recipe(run.recipe.seed, system, settings, min(64, len(lessons) // 4)))
    io.write_text(folder / LESSONS, "".join(json.dumps(row) + "\n" for row in lessons))
    train_pool(folder / RECIPE, say, exam)
    return _report(run, system, folder, len(lessons), asked, progress)


def _answered(run: Run, settings: DistilSettings, progress: Progress) -> tuple[System, list[dict[str, str]], int]:
    """The system, its answers as lessons, and the calls made for them.

    The engine is let go at the end and opened again for the report: training between needs the memory.
    """
    with AnalysisContext.open(run, Options(), progress) as context:
        system = context.system
        if len(system.adapter_bases) != 1:
            raise RunError(f"an adapter is trained for one base, the system has {len(system.adapter_bases)}")
        if not context.task.test:
            raise TaskError("the run's task has no test questions, so nothing would tell how much was kept")
        questions = _questions(run.recipe.task, context, settings)
        (nodes,) = context.respond([system], questions, f"{len(questions)} questions for lessons")
        lessons = [
            {"prompt": system.prompts.render(example), "response": reply.text}
            for example, reply in zip(questions, nodes[system.topology.sink], strict=True)
            if reply.finish == "stop" and reply.text.strip()
        ]
        if len(lessons) < _FEWEST:
            raise RunError(f"the system answered {len(lessons)} of {len(questions)} questions; {_FEWEST} are needed")
        return system, lessons, context.made


def _questions(task: TaskSettings, context: AnalysisContext, settings: DistilSettings) -> Sequence[Example]:
    """Questions that are neither dev nor test of the run."""
    if settings.data:
        found = load_task(TaskSettings(path=settings.data, instruction=task.instruction))
        candidates = (*found.dev, *found.test)
    elif task.name and not (task.path or task.hub or task.parts):
        candidates = load_task(replace(task, dev=settings.questions, test=0, seed=TRAIN_SEED)).dev
    else:
        raise TaskError("the run's task generates no questions; name a file of further ones (--data)")
    known = {example.question for example in (*context.task.dev, *context.task.test)}
    questions = [example for example in candidates if example.question not in known][: settings.questions]
    if not questions:
        raise TaskError(f"{settings.data}: every question is in dev or test of the run; name a file of other ones")
    return questions


def _recipe(seed: int, system: System, settings: DistilSettings, held_out: int) -> str:
    """The training recipe; modules are those of the system's first adapter."""
    form = next(expert.form for expert in system.experts if expert.form)
    modules = form.config.get("target_modules")
    return f"""# The answers of a system, learnt by one adapter.
base = {json.dumps(system.adapter_bases[0])}
out = "."
seed = {seed}
rank = {settings.rank}
alpha = {2 * settings.rank}
target_modules = {json.dumps(modules)}
learning_rate = {settings.learning_rate}
batch = 32
steps = {settings.steps}
held_out = {held_out}
max_new_tokens = {system.sampling.max_new_tokens}

[[experts]]
name = "distilled"
files = ["{LESSONS}"]
"""


def _report(run: Run, system: System, folder: Path, lessons: int, asked: int, progress: Progress) -> DistilReport:
    expert = Adapter.read(folder / "distilled").with_base(system.adapter_bases[0])
    bare = expert.with_weights(np.zeros(expert.size, dtype=np.float32), "base")
    with AnalysisContext.open(run, Options(), progress) as context:
        single = next(one for one in context.session.pool.experts if one.name == run.report.best_single.expert)
        systems = {
            "system found": system,
            "distilled": system.alone(expert),
            f"best single expert: {single.name}": system.alone(single),
            "base": system.alone(bare),
        }
        progress.begin("test", sum(one.calls for one in systems.values()) * len(context.task.test), 0)
        tests = context.evaluator.final(list(systems.values()))
    found, ours, alone, _ = tests
    gained = found.utility - alone.utility
    report = DistilReport(
        rows=[
            Answerer(name=name, test=summary(test.scores, stream(0, "distil")), calls=one.calls)
            for (name, one), test in zip(systems.items(), tests, strict=True)
        ],
        less_system=paired_gain(ours.scores, found.scores, stream(1, "distil")),
        less_single=paired_gain(ours.scores, alone.scores, stream(1, "distil")),
        kept=(ours.utility - alone.utility) / gained if gained > 0 else None,
        lessons=lessons,
        calls=asked,
    )
    io.write_text(folder / "distil.json", json.dumps(report.content(), indent=2) + "\n")
    return report
