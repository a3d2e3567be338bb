"""What the terminal shows of a search: bars, the best so far, the time left; plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from hswarm.cli.common import printable, results, terminal
from hswarm.plots.charts import sparkline
from hswarm.report.summary import came_of_it, cost, cost_so_far, so_far, tried, warnings
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress
from hswarm.runs.schema import Report, spoken_step
from hswarm.session.records import HistoryEntry


class _Bars(Bars):
    """Bars with lines of text below."""

    lines: tuple[str, ...] = ()

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield from (Text(line, no_wrap=True, overflow="ellipsis") for line in self.lines)


class View(Progress):
    """Draws one bar for the step and one for the whole search; below them the best so far and the cost."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = _Bars(
            TextColumn("{task.description:<22}", markup=False),
            BarColumn(None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._step = self._bars.add_task("loading", total=None, note="")
        self._whole = self._bars.add_task("search", total=None, note="")
        self._best: list[float] = []
        self._began: float | None = None
        self._done = 0
        self._ahead = 0

    def __enter__(self) -> View:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def start(self, run: Run) -> None:
        for entry in run.history():
            self._show(entry)

    def begin(self, phase: str, calls: int, ahead: int) -> None:
        self._began = self._began or time.monotonic()
        self._ahead = calls + ahead
        self._bars.reset(self._step, description=phase, total=calls, note="calls")
        self._bars.update(self._whole, total=self._done + self._ahead)

    def advance(self, calls: int) -> None:
        self._done += calls
        self._ahead -= calls
        self._bars.advance(self._step, calls)
        self._bars.update(self._whole, advance=calls, note=self._left())

    def iteration(self, entry: HistoryEntry) -> None:
        self._show(entry)
        best, at = entry.best, spoken_step(entry.best.step)
        told = {"roles": entry.role, "weights": entry.weight, "scored": entry.scored}
        steps = [f"{name} {value:.3f}" for name, step in told.items() if (value := step.highest) is not None]
        if growth := entry.growth:
            steps, at = [tried(growth)], f"{at}: {printable(growth.system)}"
        self.say(
            f"iteration {entry.iteration + 1}: {', '.join(steps)}; best so far {best.utility:.3f} "
            f"(found in {at}); {entry.calls.generated:,} calls generated; {self._left()}"
        )

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def _show(self, entry: HistoryEntry) -> None:
        self._best.append(entry.best.utility)
        stalled = sum(value == self._best[-1] for value in self._best) - 1
        step = spoken_step(entry.best.step)
        best = f"best on dev {self._best[-1]:.3f}, found in {step}; {stalled} iterations without a new one"
        self._bars.lines = (sparkline(self._best), best, *cost_so_far(entry).values())

    def _left(self) -> str:
        """Time left at most, from the pace so far: reuse and an early end shorten it."""
        if self._began is None or not self._done:
            return ""
        seconds = round((time.monotonic() - self._began) / self._done * max(0, self._ahead))
        hours, minutes = divmod(seconds // 60, 60)
        clock = f"{hours}:{minutes:02d}" if hours else str(minutes)
        return f"at most {clock}:{seconds % 60:02d} left"


@contextmanager
def view() -> Iterator[View]:
    """A View on standard error, so that standard output holds results alone."""
    with View(terminal(stderr=True)) as made:
        yield made


def print_run(run: Run, json: str | None = None) -> None:
    """What a run found, or how far it is, on standard output; its report to `json` as well (common.results)."""
    history = run.history()
    last = history[-1].content() if history else None
    told = run.report.content() if run.finished else {"iterations": len(history), "last": last}
    console = results(json, {"run": str(run.path), "name": run.recipe.name, "state": run.state, **told})
    if run.finished:
        _print_report(console, run.report)
    else:
        console.print(f"{run.recipe.name}: {run.state}{f' by {run.worker}' if run.worker else ''}")
        for line in (*so_far(run, history), *cost_so_far(history[-1] if history else None).values()):
            console.print(line, soft_wrap=True)
        for line in warnings(None, history):
            console.print(f"warning: {line}")
    if history:
        console.print(f"best by iteration: {sparkline([entry.best.utility for entry in history])}")
    console.print(f"run: {run.path}", soft_wrap=True)


def _print_report(console: Console, report: Report) -> None:
    sizes = [f"dev (n={report.dev.n})", f"test (n={report.test.n})" if report.test else "test"]
    table = Table("system", *sizes, title=f"task {printable(report.task)}, seed {report.seed} (95 % intervals)")
    for row in report.rows:
        table.add_row(*map(printable, row))
    console.print(table)
    for line in came_of_it(report):
        console.print(line)
    topology = report.topology
    names = [printable(name) for name in topology.assignment]
    edges = ", ".join(f"{u + 1}:{names[u]} -> {v + 1}:{names[v]}" for u, v in topology.edges) or names[0]
    console.print(f"edges: {edges}")
    console.print(f"cost: {'; '.join(cost(report).values())}")
    for line in warnings(report, []):
        console.print(f"warning: {line}")
