"""`[task]` of a recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from hswarm.options import SETTINGS, check_ranges
from hswarm.registry import identifier
from hswarm.tasks.task import Options


@dataclass(frozen=True)
class TaskSettings:
    """`[task]`: a `name`, a data file (`path`), a hub data set (`hub`), or several tasks (`parts`)."""

    __pydantic_config__ = SETTINGS

    name: str = ""
    """A task that hswarm knows: a name of `hswarm list tasks`."""
    path: str = ""
    """A file of questions; of a named task its file or the folder that holds it."""
    hub: str = ""
    """A data set of the Hugging Face hub, by id."""
    subset: str = ""
    """The part of a hub data set that has parts."""
    scorer: str = ""
    """How replies are scored: a name of `hswarm list scorers`; "": as the task says."""
    scorer_options: Options = field(default_factory=dict)
    """Options of the scorer."""
    instruction: str = ""
    """The instruction before every question; "": as the task says."""
    dev: Annotated[int | None, Ge(1)] = None
    """Questions to search on (default: all, or 40 of a task that makes them)."""
    test: Annotated[int | None, Ge(0)] = None
    """Questions for the final test (default: all, or 100 of a task that makes them)."""
    seed: int = 0
    """Seed for making questions and for splitting a set that has no splits."""
    max_new_tokens: Annotated[int | None, Ge(1)] = None
    """Most tokens of a reply (default: as the task says)."""
    datasets: tuple[str, ...] = ()
    """Data sets of a task that has several."""
    options: dict[str, Options] = field(default_factory=dict)
    """Options of each data set."""
    columns: dict[str, str | list[str]] = field(default_factory=dict)
    """Which column of a file holds what (docs/tasks.md), where its names do not tell."""
    dev_split: str = ""
    """The split that is dev, if it is called otherwise."""
    test_split: str = ""
    """The split that is test, if it is called otherwise."""
    parts: tuple[TaskSettings, ...] = ()
    """Several tasks at once."""
    weight: Annotated[float, Gt(0), Lt(math.inf)] = 1.0
    """The weight of a part in the utility of all."""
    utility: Literal["mean", "harmonic"] = "mean"
    """How the utilities of parts are combined: their weighted mean or harmonic mean."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", identifier(self.name))
        object.__setattr__(self, "scorer", identifier(self.scorer))
        check_ranges(self)
