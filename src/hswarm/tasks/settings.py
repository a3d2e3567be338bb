"""`[task]` of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from hswarm.registry import identifier
from hswarm.tasks.task import Options


@dataclass(frozen=True)
class TaskSettings:
    """`[task]`: a `name`, a data file (`path`), a hub data set (`hub`), or several tasks (`parts`).

    `path` of a named task is its file or a folder that holds it. `dev` and `test` are sizes (default: all, or 40 and
    100 made); a set without splits is split by `seed`. `columns` says which column holds what (docs/tasks.md);
    `dev_split` and `test_split` name the splits of a file or hub set that calls them otherwise. "" and None leave
    `scorer`, `instruction` and `max_new_tokens` to the task. `weight` counts in `parts`, whose utilities are combined
    as the weighted `utility` mean.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str = ""
    path: str = ""
    hub: str = ""
    subset: str = ""
    scorer: str = ""
    scorer_options: Options = field(default_factory=dict)
    instruction: str = ""
    dev: int | None = None
    test: int | None = None
    seed: int = 0
    max_new_tokens: int | None = None
    datasets: tuple[str, ...] = ()
    options: dict[str, Options] = field(default_factory=dict)
    columns: dict[str, str | list[str]] = field(default_factory=dict)
    dev_split: str = ""
    test_split: str = ""
    parts: tuple[TaskSettings, ...] = ()
    weight: float = 1.0
    utility: Literal["mean", "harmonic"] = "mean"

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", identifier(self.name))
        object.__setattr__(self, "scorer", identifier(self.scorer))
        if self.dev is not None and self.dev < 1:
            raise ValueError(f"dev must be at least 1, got {self.dev}")
        if self.test is not None and self.test < 0:
            raise ValueError(f"test must be at least 0, got {self.test}")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"weight must be above 0, got {self.weight}")
