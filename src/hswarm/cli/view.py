"""What the terminal shows of a search: bars, the best so far, the time left; plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from hswarm.cli.main import printable
from hswarm.runs.facts import came_of_it, cost, score_text, warnings
from hswarm.runs.progress import Progress


class View(Progress):
    """Draws one bar for the step and one for the whole search."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Bars(
            TextColumn("{task.description:<22}"), BarColumn(None), MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"), TimeElapsedColumn(), console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._step = self._bars.add_task("loading", total=None, note="")
        self._whole = self._bars.add_task("search", total=None, note="")
        self._best = ""
        self._began: float | None = None
        self._done = 0
        self._ahead = 0

    def __enter__(self) -> View:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, phase: str, calls: int, ahead: int) -> None:
        self._began = self._began or time.monotonic()
        self._ahead = calls + ahead
        self._bars.reset(self._step, description=phase, total=calls, note="calls")
        self._bars.update(self._whole, total=self._done + self._ahead, note=self._best)

    def advance(self, calls: int) -> None:
        self._done += calls
        self._ahead -= calls
        self._bars.advance(self._step, calls)
        self._bars.update(self._whole, advance=calls, note=f"{self._best}{self._left()}")

    def iteration(self, entry: Mapping[str, Any]) -> None:
        best = entry["best"]
        self._best = f"best on dev {best['utility']:.3f}  "
        role = max(_numbers(entry.get("role")), default=float("nan"))
        weight = max(_numbers(entry.get("weight")), default=float("nan"))
        self._console.print(
            f"iteration {entry['iteration'] + 1}: roles {role:.3f}, weights {weight:.3f}, "
            f"best so far {best['utility']:.3f} (found at {best['step']}){self._left()}",
            highlight=False,
            soft_wrap=True,
        )

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def _left(self) -> str:
        """Time left at most, from the pace so far: reuse and an early end shorten it."""
        if self._began is None or not self._done:
            return ""
        seconds = (time.monotonic() - self._began) / self._done * max(0, self._ahead)
        return f"  left at most {int(seconds // 60)}:{int(seconds % 60):02d}"


@contextmanager
def view() -> Iterator[View]:
    """A View on standard error, so that standard output holds results alone."""
    with View(Console(stderr=True, markup=False)) as made:
        yield made


def print_report(path: Path, report: Mapping[str, Any]) -> None:
    """The result of a run as tables on standard output."""
    console = Console(markup=False)
    sizes = [f"{split} (n={report[split]['n']})" if report[split] else split for split in ("dev", "test")]
    table = Table("system", *sizes, title=f"task {printable(report['task'])}, seed {report['seed']} (95 % intervals)")
    single = report["best_single"]
    alone = f"best single expert: {printable(single['expert'])}"
    for name, row in ((alone, single), ("start: best first graph", report["start"]),
                      ("found system", report)):  # fmt: skip
        table.add_row(name, score_text(row["dev"]), score_text(row["test"]))
    console.print(table)
    for line in came_of_it(report):
        console.print(line, highlight=False)
    topology = report["topology"]
    names = [printable(name) for name in topology["assignment"]]
    edges = ", ".join(f"{u}:{names[u]} -> {v}:{names[v]}" for u, v in topology["edges"]) or names[0]
    console.print(f"who speaks to whom: {edges}", highlight=False)
    console.print(f"cost: {'; '.join(cost(report).values())}", highlight=False)
    for line in warnings(report, []):
        console.print(f"warning: {line}", highlight=False)
    console.print(f"run: {path}", highlight=False, soft_wrap=True)


def _numbers(step: Mapping[str, Any] | None) -> list[float]:
    return [value for value in (step or {}).get("utilities", []) if value is not None]
