"""`[search]`, `[selection]`, `[budget]`, `[track]` of a recipe: what is not a room's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")


@dataclass(frozen=True)
class SearchSettings:
    """`method` names what searches (hswarm list methods; its own settings are `[methods.NAME]`); the rest is hswarm's.

    The loop: `graphs` adjacency matrices (N), `assignments` a weight-step (M), at most `iterations` rounds.

    The search ends after `patience` iterations without a new best. `nodes` None is one node an expert; fewer nodes
    take the experts that are best alone. `weight_topology` is what the weight-step scores on: the best topology so
    far (the paper) or this iteration's (the reference). `steps` leaves a step out (an ablation); `weight_after` lets
    the weight-step begin only after so many iterations, so that roles are found for experts that stand still; patience
    counts from there.

    `first_graphs` of the role-step: all "random" (the paper), or "ranked": the first of them is a chain and the second
    a star, from the expert that is worst alone to the best, who answers; the others are random.
    `cache` names a file of calls that runs share, beside each run's own, which keeps those of the last `keep_calls`
    iterations (0: of all).
    `threshold` keeps only adjacency entries above it before a graph is decoded, and drops nodes without a path to the
    sink (the paper's sparsity). `l1` times the sum of a graph's absolute entries, the diagonal aside, is taken from the
    utility that the role-step is told. With either the history notes the share of edges gone, the paper's "speed-up".

    Left out at random, never in the first iteration: with probability `dropout_role` a whole role-step, with
    `dropout_weight` a whole weight-step (the paper's Dropout-R and Dropout-W, figure 9); with `drop_k` all scores of an
    iteration, with `drop_n` a graph's or an assignment's, which then keeps its last utility (the code's dropK, dropN).
    `start_on_test`: what the search starts from and is looked at on test, at the end, beside the system found: nothing,
    the "best" expert alone and graph, or "all" experts and the best graph. `clean_up` removes checkpoint and calls
    from a finished run; an analysis of it then has to make its calls anew.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    method: str = "growth"
    graphs: int = 10
    assignments: int = 10
    iterations: int = 20
    patience: int = 6
    nodes: int | None = None
    steps: tuple[Literal["role", "weight"], ...] = ("role", "weight")
    draw: Literal["balanced", "independent"] = "balanced"
    weight_topology: Literal["best", "iteration"] = "best"
    weight_after: int = 0
    reuse: bool = True
    first_graphs: Literal["random", "ranked"] = "random"
    cache: str = ""
    keep_calls: int = 0
    threshold: float | None = None
    l1: float = 0.0
    dropout_role: float = 0.0
    dropout_weight: float = 0.0
    drop_k: float = 0.0
    drop_n: float = 0.0
    start_on_test: Literal["none", "best", "all"] = "best"
    clean_up: bool = False

    def __post_init__(self) -> None:
        for name in ("graphs", "assignments", "iterations", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.nodes is not None and self.nodes < 1:
            raise ValueError(f"nodes must be at least 1, got {self.nodes}")
        for name in ("dropout_role", "dropout_weight", "drop_k", "drop_n"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is a probability below 1, got {getattr(self, name)}")
        if not 0 <= self.l1 < float("inf"):
            raise ValueError(f"l1 must be 0 or more, got {self.l1}")
        for name in ("weight_after", "keep_calls"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not self.steps:
            raise ValueError("steps must name 'role', 'weight' or both")
        if self.weight_topology == "iteration" and "role" not in self.steps:
            raise ValueError("weight_topology = 'iteration' needs the role-step")


@dataclass(frozen=True)
class SelectionSettings:
    """How the winner is chosen: a share of dev, `held_out`, is not searched; on it the `finalists` that the search
    scored best are scored again, and the best there wins. 0: the search's own best wins."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    held_out: float = 0.0
    finalists: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out is a share from 0 up to 1, got {self.held_out}")
        if self.finalists < 1:
            raise ValueError(f"finalists must be at least 1, got {self.finalists}")


@dataclass(frozen=True)
class BudgetSettings:
    """What a method may spend on its search: distinct calls, tokens (prompts included), seconds. None: no limit."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("calls", "tokens", "seconds"):
            if (limit := getattr(self, name)) is not None and not limit > 0:
                raise ValueError(f"{name} must be more than 0, got {limit}")

    def text(self) -> str:
        """The limits that are set, for messages."""
        limits = {name: getattr(self, name) for name in ("calls", "tokens", "seconds")}
        return ", ".join(f"{limit:g} {name}" for name, limit in limits.items() if limit is not None) or "no limit"


@dataclass(frozen=True)
class TrackSettings:
    """Where a run's numbers go besides its folder: `to` names trackers with commas between, "" none.

    `project` groups runs there; trackers that write files do so in `folder` (default: tracking/ beside the run).
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    to: str = ""
    project: str = "hswarm"
    folder: str = ""

    def __post_init__(self) -> None:
        if unknown := [name for name in self.names if name not in TRACKERS]:
            raise ValueError(f"to names trackers of {', '.join(TRACKERS)}, got {', '.join(unknown)}")

    @property
    def names(self) -> list[str]:
        """The trackers, each once."""
        return list(dict.fromkeys(filter(None, map(str.strip, self.to.split(",")))))
