"""From the results of a comparison to its table: paired differences, corrected p-values, ranks, gains, costs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hswarm.analysis.result import markdown_table
from hswarm.core.stats import bootstrap_interval, holm, paired_test
from hswarm.io import write_text
from hswarm.plots.points import Point, points_svg
from hswarm.runs.comparison import Comparison, Difference, Measured, NotRun, Overall, Refused, Result, Row, Spent

Array = NDArray[np.float64]
REFERENCES = ("best_single", "hswarm")


def tabulate(results: Sequence[Result]) -> Comparison:
    """The table of `results`: a row a method on each task, and one over all tasks.

    Scores of an example are averaged over seeds before systems are compared on it, so that p-values count examples,
    not seeds. p-values are Holm's over all methods compared with one reference on one task.
    """
    tasks: dict[str, list[Refused | Row]] = {}
    for task in dict.fromkeys(result.task for result in results):
        by_method: dict[str, list[Result]] = {}
        for result in results:
            if result.task == task:
                by_method.setdefault(result.method, []).append(result)
        tasks[task] = _task_rows(by_method)
    table = Comparison(tasks=tasks)
    table.overall = _overall([table.rows(task) for task in tasks])
    return table


def _task_rows(by_method: Mapping[str, Sequence[Result]]) -> list[Refused | Row]:
    rows: list[Refused | Row] = []
    means: dict[str, Array] = {}
    for name, results in by_method.items():
        made = [result for result in results if isinstance(result, Measured)]
        tests, devs = _scores([result.test for result in made]), _scores([result.dev for result in made])
        if refusal := next((result.refused for result in results if isinstance(result, NotRun)), ""):
            rows.append(Refused(method=name, refused=refusal))
        elif np.isnan(tests).all() or np.isnan(devs).all():
            rows.append(Refused(method=name, refused="every call failed, so there is no score"))
        else:
            means[name] = np.nanmean(tests, axis=0)
            rows.append(_row(name, made, tests, float(np.nanmean(devs))))
    whole = [row for row in rows if isinstance(row, Row)]
    for reference in REFERENCES:
        if reference in means:
            _compare(whole, means, reference)
    return rows


def _scores(rows: Sequence[Sequence[float | None]]) -> Array:
    return np.array(rows, dtype=np.float64)


def _row(name: str, made: Sequence[Measured], tests: Array, dev: float) -> Row:
    mean = np.nanmean(tests, axis=0)
    scored = mean[~np.isnan(mean)]
    return Row(
        method=name,
        test=float(scored.mean()),
        ci=[*bootstrap_interval(scored, np.random.default_rng(0))],
        n=len(scored),
        seeds=len(made),
        sd=float(np.nanmean(tests, axis=1).std(ddof=1)) if len(made) > 1 else None,
        dev=dev,
        drop=float(dev - scored.mean()),
        calls=float(np.mean([result.calls for result in made])),
        tokens=float(np.mean([result.tokens for result in made])),
        spent=Spent(
            calls=_mean([result.spent.calls for result in made]),
            tokens=_mean([result.spent.tokens for result in made]),
            seconds=_mean([result.spent.seconds for result in made]),
        ),
    )


def _compare(rows: Sequence[Row], means: Mapping[str, Array], reference: str) -> None:
    """Add to each row the paired difference to `reference`, with Holm's p-value, and the gain in per cent."""
    others = [row for row in rows if row.method != reference]
    base, found = means[reference], []
    for row in others:
        both = ~np.isnan(means[row.method]) & ~np.isnan(base)
        found.append(paired_test(means[row.method][both], base[both], np.random.default_rng(0)))
    for row, paired, p_value in zip(others, found, holm([each.p_value for each in found]), strict=True):
        difference = Difference(difference=paired.difference, ci=[paired.low, paired.high], p_value=p_value)
        setattr(row, f"to_{reference}", difference)
    level = float(np.nanmean(base))
    for row in rows if reference == "best_single" else ():
        row.gain = 100 * (row.test / level - 1) if level > 0 else None


def _overall(tasks: Sequence[Sequence[Row]]) -> list[Overall]:
    """Mean rank (1 is best; ties share the mean of their ranks), mean test score and mean gain of the methods that
    have a score on every task."""
    scores = [{row.method: row.test for row in rows} for rows in tasks]
    names = [name for name in (scores[0] if scores else {}) if all(name in score for score in scores)]
    ranks = {name: [_rank(score[name], [score[other] for other in names]) for score in scores] for name in names}
    made = [
        Overall(
            method=name,
            rank=float(np.mean(ranks[name])),
            test=float(np.mean([score[name] for score in scores])),
            gain=_mean([row.gain for rows in tasks for row in rows if row.method == name]),
            tasks=len(scores),
        )
        for name in names
    ]
    return sorted(made, key=lambda row: row.rank)


def _rank(score: float, scores: Sequence[float]) -> float:
    return 1 + sum(other > score for other in scores) + (sum(other == score for other in scores) - 1) / 2


HEAD = (
    "method",
    "test",
    "95 % interval",
    "sd of seeds",
    "dev - test",
    "gain %",
    "to best_single",
    "p",
    "to hswarm",
    "p",
    "calls / answer",
    "tokens / answer",
    "search calls",
    "search tokens",
    "search s",
)


def cells(row: Refused | Row) -> list[str]:
    """A row as text, under HEAD."""
    if isinstance(row, Refused):
        return [row.method, f"not run: {row.refused}", *[""] * (len(HEAD) - 2)]
    low, high = row.ci
    return [
        row.method,
        f"{row.test:.3f}",
        f"{low:.3f} to {high:.3f}",
        _number(row.sd, ".3f"),
        f"{row.drop:+.3f}",
        _number(row.gain, "+.1f"),
        *_difference(row.to_best_single),
        *_difference(row.to_hswarm),
        f"{row.calls:.1f}",
        f"{row.tokens:.0f}",
        _number(row.spent.calls, ".0f"),
        _number(row.spent.tokens, ".0f"),
        _number(row.spent.seconds, ".1f"),
    ]


def _difference(compared: Difference | None) -> list[str]:
    return [f"{compared.difference:+.3f}", f"{compared.p_value:.3f}"] if compared else ["", ""]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def markdown(table: Comparison) -> str:
    """All tables as Markdown."""
    parts = []
    for task, rows in table.tasks.items():
        parts.append(f"## {task}\n\n{markdown_table(HEAD, [cells(row) for row in rows])}")
    overall = [[row.method, f"{row.rank:.2f}", f"{row.test:.3f}", _number(row.gain, "+.1f")] for row in table.overall]
    parts.append(f"## over all tasks\n\n{markdown_table(('method', 'mean rank', 'mean test', 'mean gain %'), overall)}")
    return "\n\n".join(parts) + "\n"


def comma_separated(table: Comparison) -> str:
    """One CSV of all tasks."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["task", *HEAD])
    for task, rows in table.tasks.items():
        writer.writerows([task, *cells(row)] for row in rows)
    return out.getvalue()


def latex(table: Comparison) -> str:
    """One tabular a task: method, test, gain, p, calls an answer."""
    parts = []
    for task in table.tasks:
        body = [" & ".join(_escape(cells(row)[i]) for i in (0, 1, 2, 5, 7, 10)) for row in table.rows(task)]
        head = " & ".join(_escape(HEAD[i]) for i in (0, 1, 2, 5, 7, 10))
        lines = " \\\\\n".join([head, *body])
        parts.append(f"% {task}\n\\begin{{tabular}}{{lrrrrr}}\n{lines} \\\\\n\\end{{tabular}}\n")
    return "\n".join(parts)


def _escape(text: str) -> str:
    return text.replace("_", "\\_").replace("%", "\\%")


def pareto_svg(table: Comparison) -> str:
    """Score against tokens an answer, one panel a task; methods that no other beats at less cost are joined."""
    panels = {task: [Point(row.method, row.tokens, row.test) for row in table.rows(task)] for task in table.tasks}
    return points_svg(panels, "tokens an answer", "test score", labelled=True, marked="hswarm") + "\n"


def write_all(table: Comparison, folder: Path) -> None:
    """table.md, table.csv, table.tex and pareto.svg."""
    write_text(folder / "table.md", markdown(table))
    write_text(folder / "table.csv", comma_separated(table))
    write_text(folder / "table.tex", latex(table))
    write_text(folder / "pareto.svg", pareto_svg(table))
