"""`[search]`, `[selection]`, `[budget]`, `[track]` of a recipe: what is not a room's own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from hswarm.options import SETTINGS, check_ranges

TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")


@dataclass(frozen=True)
class SearchSettings:
    """`[search]`: the method, and the loop of the method `hswarm` (other methods' settings are in `[methods.NAME]`)."""

    __pydantic_config__ = SETTINGS

    method: str = "growth"
    """What searches: a name of `hswarm list methods`."""
    graphs: Annotated[int, Ge(1), Le(10_000)] = 10
    """Adjacency matrices of the role-step (N)."""
    assignments: Annotated[int, Ge(1), Le(10_000)] = 10
    """Assignments of experts to nodes in a weight-step (M)."""
    iterations: Annotated[int, Ge(1)] = 20
    """Rounds of role-step and weight-step at most."""
    patience: Annotated[int, Ge(1)] = 6
    """The search ends after this many iterations without a new best."""
    nodes: Annotated[int | None, Ge(1), Le(1_000)] = None
    """Nodes of a graph; none: one for each expert. Fewer nodes take the experts that are best alone."""
    steps: tuple[Literal["role", "weight"], ...] = ("role", "weight")
    """The steps to make; leaving one out is an ablation."""
    draw: Literal["balanced", "independent"] = "balanced"
    """How experts are assigned to nodes: "balanced", each equally often, or "independent", as in the paper."""
    weight_topology: Literal["best", "iteration"] = "best"
    """The graph that the weight-step scores on: the best so far (the paper) or this iteration's (the authors' code)."""
    weight_after: Annotated[int, Ge(0)] = 0
    """Iterations before the weight-step begins, so that roles are found for experts that stand still; patience counts
    from there."""
    reuse: bool = True
    """Whether equal calls are made only once."""
    first_graphs: Literal["random", "ranked"] = "random"
    """The first graphs: "random" (the paper), or "ranked": a chain and a star from the worst expert alone to the best,
    and random ones."""
    cache: str = ""
    """A file of calls that several runs share, beside each run's own."""
    start: str = ""
    """A run of growth to go on from, e.g. with a larger pool: its scores and calls are taken over."""
    keep_calls: Annotated[int, Ge(0)] = 0
    """A run keeps the calls of this many last iterations; 0: of all."""
    threshold: float | None = None
    """Entries of the adjacency at or below it are dropped before a graph is decoded, and with them nodes without a path
    to the sink (the paper's sparsity); none: all are kept."""
    l1: Annotated[float, Ge(0), Lt(math.inf)] = 0.0
    """This times the sum of a graph's absolute entries, without the diagonal, is taken from its utility (role-step)."""
    dropout_role: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Probability of leaving a whole role-step out (the paper's Dropout-R), never in the first iteration."""
    dropout_weight: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Probability of leaving a whole weight-step out (the paper's Dropout-W), never in the first iteration."""
    drop_k: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Probability of leaving out all scores of an iteration (dropK of the authors' code), never in the first."""
    drop_n: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Probability of leaving out the score of a graph or an assignment, which keeps its last utility (dropN of the
    authors' code), never in the first iteration."""
    start_on_test: Literal["none", "best", "all"] = "best"
    """What is scored on test at the end beside the system found: nothing, the "best" expert alone and first graph, or
    "all" experts and the best first graph."""
    clean_up: bool = False
    """Remove checkpoint and calls from a finished run; an analysis of it then has to repeat its calls."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.steps:
            raise ValueError("steps must name 'role', 'weight' or both")
        if self.weight_topology == "iteration" and "role" not in self.steps:
            raise ValueError("weight_topology = 'iteration' needs the role-step")
        if self.start and not self.method.startswith("growth"):
            raise ValueError(f"start is for the methods of growth, the method is {self.method!r}")


@dataclass(frozen=True)
class SelectionSettings:
    """`[selection]`: how the winner is chosen."""

    __pydantic_config__ = SETTINGS

    held_out: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of dev that is not searched but decides between the finalists; 0: the search's own best wins."""
    finalists: Annotated[int, Ge(1)] = 5
    """Systems with the best scores in the search that are scored again on the held-out share."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class BudgetSettings:
    """`[budget]`: what a method may spend on its search; none: no limit."""

    __pydantic_config__ = SETTINGS

    calls: Annotated[int | None, Gt(0)] = None
    """Distinct calls."""
    tokens: Annotated[int | None, Gt(0)] = None
    """Tokens, those of prompts included."""
    seconds: Annotated[float | None, Gt(0)] = None
    """Seconds."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def text(self) -> str:
        """The limits that are set, for messages."""
        limits = {name: getattr(self, name) for name in ("calls", "tokens", "seconds")}
        return ", ".join(f"{limit:g} {name}" for name, limit in limits.items() if limit is not None) or "no limit"


@dataclass(frozen=True)
class TrackSettings:
    """`[track]`: where a run's numbers are logged in addition to its folder."""

    __pydantic_config__ = SETTINGS

    to: str = ""
    """Trackers, separated by commas: tensorboard, wandb, mlflow, trackio; "" none."""
    project: str = "hswarm"
    """The name under which a tracker groups runs."""
    folder: str = ""
    """Where trackers that write files write them (default: tracking/ beside the run)."""

    def __post_init__(self) -> None:
        if unknown := [name for name in self.names if name not in TRACKERS]:
            raise ValueError(f"to names trackers of {', '.join(TRACKERS)}, got {', '.join(unknown)}")

    @property
    def names(self) -> list[str]:
        """The trackers, each once."""
        return list(dict.fromkeys(filter(None, map(str.strip, self.to.split(",")))))
