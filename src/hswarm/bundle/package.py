"""Where a system comes from: a run, a bundle or a bare folder; with its name, scores and best single expert."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hswarm import io
from hswarm.bundle.questions import Question, questions_of_run, read_questions
from hswarm.errors import HSwarmError, RunError
from hswarm.records import checked
from hswarm.runs.directory import Run
from hswarm.runs.schema import Report
from hswarm.session.session import read_pool
from hswarm.system.load import load
from hswarm.system.system import System

RECIPE, SINGLE = "recipe.toml", "best-single"  # of a bundle; a run's recipe is config.toml


@dataclass(frozen=True, eq=False)
class Source:
    """A system and what is known about it.

    `report` and `single` are None if there is none; `questions` are to try; `hub` is the repository, "owner/name", that
    it will be pushed to.
    """

    name: str
    system: System
    report: Report | None
    recipe: str
    single: System | None
    questions: Sequence[Question] = ()
    hub: str = ""


def open_source(path: str | Path, base: str = "") -> Source:
    """The system in `path`, verified, with the files beside it. RunError if there is none."""
    folder = Path(path)
    system = load(folder, base)
    if (folder / "config.toml").is_file():
        run = Run.open(folder)
        report = run.report if run.finished else None
        return Source(
            run.recipe.name,
            system,
            report,
            run.recipe.to_toml(),
            _pool_single(run, system, report),
            questions_of_run(run),
        )
    report = _report(folder / "report.json")
    recipe = _recipe(folder / RECIPE)
    single = load(folder / SINGLE, base) if (folder / SINGLE).is_dir() else None
    return Source(folder.resolve().name, system, report, recipe, single, read_questions(folder))


def _report(path: Path) -> Report | None:
    """RunError if it is there and is none."""
    if not path.is_file():
        return None
    content = io.read_json(path, "a report")
    try:
        io.check_text(content)
    except ValueError as fault:
        raise RunError(f"{path} cannot be read: {fault}") from fault
    return checked(content, Report, path)


def _recipe(path: Path) -> str:
    """The text, "" if there is none. RunError if it is no TOML; it is not opened as a recipe, which may name code."""
    if not path.is_file():
        return ""
    try:
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as fault:
        raise RunError(f"{path} cannot be read as TOML: {fault}") from fault
    return text


def _pool_single(run: Run, system: System, report: Report | None) -> System | None:
    """The best single expert, from the pool of the run; None if that pool no longer exists."""
    if report is None:
        return None
    try:
        experts = {expert.name: expert for expert in read_pool(run.recipe).experts}
        return system.alone(experts[report.best_single.expert])
    except (HSwarmError, KeyError):
        return None
