"""From the results of a comparison to its table: paired differences, corrected p-values, ranks, gains, costs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hswarm.core.stats import bootstrap_interval, holm, paired_test
from hswarm.io import write_text
from hswarm.plots.points import Point, points_svg

Array = NDArray[np.float64]
REFERENCES = ("best_single", "hswarm")


def tabulate(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """{"tasks": {task: rows}, "overall": rows}: a row a method.

    Scores of an example are averaged over seeds before systems are compared on it, so that p-values count examples,
    not seeds. p-values are Holm's over all methods compared with one reference on one task.
    """
    tasks: dict[str, list[dict[str, Any]]] = {}
    for task in dict.fromkeys(result["task"] for result in results):
        by_method: dict[str, list[Mapping[str, Any]]] = {}
        for result in results:
            if result["task"] == task:
                by_method.setdefault(result["method"], []).append(result)
        tasks[task] = _task_rows(by_method)
    return {"tasks": tasks, "overall": _overall(tasks)}


def _task_rows(by_method: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    whole = {name: made for name, made in by_method.items() if not any("refused" in result for result in made)}
    tests = {name: np.array([result["test"] for result in made], dtype=np.float64) for name, made in whole.items()}
    means = {name: np.nanmean(test, axis=0) for name, test in tests.items()}
    rows = []
    for name, made in by_method.items():
        if name not in whole:
            reason = next(result["refused"] for result in made if "refused" in result)
            rows.append({"method": name, "refused": reason})
            continue
        dev = np.nanmean(np.array([result["dev"] for result in made], dtype=np.float64))
        scored = means[name][~np.isnan(means[name])]
        low, high = bootstrap_interval(scored, np.random.default_rng(0))
        rows.append(
            {
                "method": name,
                "test": float(scored.mean()),
                "ci": [low, high],
                "n": len(scored),
                "seeds": len(made),
                "sd": float(np.nanmean(tests[name], axis=1).std(ddof=1)) if len(made) > 1 else None,
                "dev": float(dev),
                "drop": float(dev - scored.mean()),
                "calls": float(np.mean([result["calls"] for result in made])),
                "tokens": float(np.mean([result["tokens"] for result in made])),
                "spent": {
                    key: _mean([result["spent"][key] for result in made]) for key in ("calls", "tokens", "seconds")
                },
            }
        )
    for reference in REFERENCES:
        if reference in means:
            _compare(rows, means, reference)
    return rows


def _compare(rows: Sequence[dict[str, Any]], means: Mapping[str, Array], reference: str) -> None:
    """Add to each row the paired difference to `reference`, with Holm's p-value, and the gain in per cent."""
    others = [row for row in rows if "test" in row and row["method"] != reference]
    base, found = means[reference], []
    for row in others:
        both = ~np.isnan(means[row["method"]]) & ~np.isnan(base)
        found.append(paired_test(means[row["method"]][both], base[both], np.random.default_rng(0)))
    for row, paired, p_value in zip(others, found, holm([each.p_value for each in found]), strict=True):
        row[f"to_{reference}"] = {"difference": paired.difference, "ci": [paired.low, paired.high], "p_value": p_value}
    level = float(np.nanmean(base))
    for row in rows:
        if "test" in row and reference == "best_single":
            row["gain"] = 100 * (row["test"] / level - 1) if level > 0 else None


def _overall(tasks: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Mean rank (1 is best; ties share the mean of their ranks), mean test score and mean gain of the methods that
    have a score on every task."""
    scores = [{row["method"]: row["test"] for row in rows if "test" in row} for rows in tasks.values()]
    names = [name for name in (scores[0] if scores else {}) if all(name in score for score in scores)]
    ranks = {name: [_rank(score[name], [score[other] for other in names]) for score in scores] for name in names}
    gains = {
        name: [
            row["gain"]
            for rows in tasks.values()
            for row in rows
            if row["method"] == name and row.get("gain") is not None
        ]
        for name in names
    }
    made = [
        {
            "method": name,
            "rank": float(np.mean(ranks[name])),
            "test": float(np.mean([s[name] for s in scores])),
            "gain": float(np.mean(gains[name])) if gains[name] else None,
            "tasks": len(scores),
        }
        for name in names
    ]
    return sorted(made, key=lambda row: row["rank"])


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


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row as text, under HEAD."""
    if "refused" in row:
        return [row["method"], f"not run: {row['refused']}", *[""] * (len(HEAD) - 2)]
    low, high = row["ci"]
    compared = [text for reference in REFERENCES for text in _difference(row.get(f"to_{reference}"))]
    return [
        row["method"],
        f"{row['test']:.3f}",
        f"{low:.3f} to {high:.3f}",
        _number(row["sd"], ".3f"),
        f"{row['drop']:+.3f}",
        _number(row.get("gain"), "+.1f"),
        *compared,
        f"{row['calls']:.1f}",
        f"{row['tokens']:.0f}",
        f"{row['spent']['calls']:.0f}",
        f"{row['spent']['tokens']:.0f}",
        _number(row["spent"]["seconds"], ".1f"),
    ]


def _difference(compared: Mapping[str, Any] | None) -> list[str]:
    return [f"{compared['difference']:+.3f}", f"{compared['p_value']:.3f}"] if compared else ["", ""]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def markdown(table: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    parts = []
    for task, rows in table["tasks"].items():
        parts.append(f"## {task}\n\n{_pipes(HEAD, [cells(row) for row in rows])}")
    overall = [
        [row["method"], f"{row['rank']:.2f}", f"{row['test']:.3f}", _number(row["gain"], "+.1f")]
        for row in table["overall"]
    ]
    parts.append(f"## over all tasks\n\n{_pipes(('method', 'mean rank', 'mean test', 'mean gain %'), overall)}")
    return "\n\n".join(parts) + "\n"


def _pipes(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def comma_separated(table: Mapping[str, Any]) -> str:
    """One CSV of all tasks."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["task", *HEAD])
    for task, rows in table["tasks"].items():
        writer.writerows([task, *cells(row)] for row in rows)
    return out.getvalue()


def latex(table: Mapping[str, Any]) -> str:
    """One tabular a task: method, test, gain, p, calls an answer."""
    parts = []
    for task, rows in table["tasks"].items():
        body = [" & ".join(_escape(cells(row)[i]) for i in (0, 1, 2, 5, 7, 10)) for row in rows if "test" in row]
        head = " & ".join(_escape(HEAD[i]) for i in (0, 1, 2, 5, 7, 10))
        lines = " \\\\\n".join([head, *body])
        parts.append(f"% {task}\n\\begin{{tabular}}{{lrrrrr}}\n{lines} \\\\\n\\end{{tabular}}\n")
    return "\n".join(parts)


def _escape(text: str) -> str:
    return text.replace("_", "\\_").replace("%", "\\%")


def pareto_svg(table: Mapping[str, Any]) -> str:
    """Score against tokens an answer, one panel a task; methods that no other beats at less cost are joined."""
    panels = {
        task: [Point(row["method"], row["tokens"], row["test"]) for row in rows if "test" in row]
        for task, rows in table["tasks"].items()
    }
    return points_svg(panels, "tokens an answer", "test score", labelled=True, marked="hswarm") + "\n"


def write_all(table: Mapping[str, Any], folder: Path) -> None:
    """table.md, table.csv, table.tex and pareto.svg."""
    write_text(folder / "table.md", markdown(table))
    write_text(folder / "table.csv", comma_separated(table))
    write_text(folder / "table.tex", latex(table))
    write_text(folder / "pareto.svg", pareto_svg(table))
