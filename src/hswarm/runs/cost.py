"""A forecast of a search's cost, and the cost beside it."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hswarm import io
from hswarm.errors import RunError
from hswarm.records import first_fault
from hswarm.runs.schema import Predicted, Report


@dataclass(frozen=True)
class Cost:
    """Calls asked for and made, tokens of those made, seconds."""

    requested: float = 0
    generated: float = 0
    prompt: float = 0
    completion: float = 0
    seconds: float = 0

    def plus(self, other: Cost, times: float = 1) -> Cost:
        return Cost(*(a + times * b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Forecast:
    """The cost of the experts alone, of each iteration (later ones like the last), of test; peak memory in bytes.

    Of growth the one iteration is the whole search. `questions` were asked to calibrate (of growth: calls).
    """

    start: Cost
    iterations: tuple[Cost, ...]
    test: Cost
    memory: int
    workers: int
    questions: int
    calibration_s: float

    def whole(self, iterations: int) -> Cost:
        """The cost of a search that takes so many iterations."""
        whole = self.start.plus(self.test)
        for t in range(iterations):
            whole = whole.plus(self.iterations[min(t, len(self.iterations) - 1)])
        return whole

    def text(self, iterations: int | None) -> str:
        """The forecast of a search of so many iterations, in one line; None: of growth."""
        whole = self.whole(iterations or 1)
        what, tried = (f"{iterations} iterations", "on {} questions") if iterations else ("the budget", "with {} calls")
        where = f" on {self.workers} workers" if self.workers > 1 else ""
        return (
            f"forecast for {what}: {whole.generated:,.0f} of {whole.requested:,.0f} calls made, "
            f"{whole.prompt:,.0f} prompt and {whole.completion:,.0f} reply tokens, {clock(whole.seconds)}{where}, "
            f"{self.memory / 2**30:.1f} GB of memory "
            f"(calibrated {tried.format(self.questions)} in {clock(self.calibration_s)})"
        )

    @classmethod
    def read(cls, path: Path) -> Forecast:
        """The forecast that a file holds. RunError if it holds something else."""
        try:
            return TypeAdapter(cls).validate_python(io.read_json(path, "a forecast"))
        except ValidationError as fault:
            raise RunError(f"{path} is not a forecast as hswarm writes it ({first_fault(fault)}); delete it") from fault

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        io.write_text(path, json.dumps(asdict(self), indent=2) + "\n")


def outcome(kept: Forecast, report: Report) -> dict[str, Predicted]:
    """The forecast beside the cost of a search that took as many iterations as it did, by kind."""
    expected = kept.whole(1 if report.growth else report.iterations)
    pairs = {
        "calls": (expected.generated, report.calls.generated),
        "prompt tokens": (expected.prompt, report.tokens.prompt),
        "reply tokens": (expected.completion, report.tokens.completion),
        "seconds": (expected.seconds, report.wall_s),
        "memory": (kept.memory, peak()),
    }
    return {
        name: Predicted(forecast=round(said, 1), came=came, off=round(said / came - 1, 3) if came else None)
        for name, (said, came) in pairs.items()
    }


def forecast_text(compared: Mapping[str, Predicted]) -> str:
    """What `outcome` gives, in one line."""
    parts = []
    for name, pair in compared.items():
        said = f"{pair.forecast / 2**30:.1f} GB memory" if name == "memory" else f"{pair.forecast:,.0f} {name}"
        parts.append(f"{said} ({pair.off:+.0%})" if pair.off is not None else said)
    return f"forecast {', '.join(parts)}; in brackets how far above the actual cost"


def peak() -> int:
    """Bytes that this process, and the GPU it uses, held at most."""
    unit = 1 if sys.platform == "darwin" else 1024
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        held += torch.cuda.max_memory_allocated()
    return int(held)


def clock(seconds: float) -> str:
    """ "48 s", "3 min", "2.5 h", "4.1 days"."""
    for size, unit in ((86400, "days"), (3600, "h")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
