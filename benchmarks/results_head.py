"""The table and the picture at the top of docs/results.md, from what was measured: python benchmarks/results_head.py

The rivals' scores are those of docs/results-micro.md, growth's of docs/benchmarks/search_quality_micro_tasks.json.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np
from measuring import ROOT, fill

from hswarm import io
from hswarm.plots.bars import bars_svg

MARK = "<!-- table: benchmarks/results_head.py -->"
OURS = ("growth", "growth_roles", "growth_weights")
CONTROLS = ("best_single", "random_search")
Scores = dict[str, dict[str, float]]


def rivals() -> Scores:
    """Mean test scores by task and method, of all methods that are not growth."""
    found: Scores = {}
    for part in (ROOT / "docs/results-micro.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        name, *lines = part.splitlines()
        rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
        if name != "over all tasks":
            found[name] = {row[0]: float(row[1]) for row in rows[2:] if row[0] not in OURS}
    return found


def table(scores: Scores, ours: dict[str, float]) -> list[str]:
    """A row a task: the best expert alone, the paper's swarm, the best rival afterwards, growth; the highest bold."""
    rows = [
        "| task | best expert alone | the paper's swarm | best other rival, seen afterwards | growth, the default |",
        "|---|---|---|---|---|",
    ]
    for task in sorted(scores, key=lambda task: -scores[task]["best_single"]):
        best = max((method for method in scores[task] if method != "hswarm"), key=lambda method: scores[task][method])
        rows.append(row(task, scores[task], best, best, ours[task]))
    means = mean(scores)
    best = max((method for method in means if method != "hswarm"), key=means.__getitem__)
    rows.append(row("mean", means, best, f"{best}, best on average", float(np.mean(list(ours.values())))))
    return rows


def row(name: str, scores: dict[str, float], best: str, called: str, ours: float) -> str:
    """One row, with the highest scores in bold."""
    values = [scores["best_single"], scores["hswarm"], scores[best], ours]
    single, swarm, rival, mine = (f"**{value:.3f}**" if value == max(values) else f"{value:.3f}" for value in values)
    return f"| {name} | {single} | {swarm} | {rival} ({called}) | {mine} |"


def mean(scores: Scores) -> dict[str, float]:
    """By method, the mean over tasks, of those that ran on all."""
    tasks = list(scores.values())
    everywhere = [method for method in tasks[0] if all(method in task for task in tasks)]
    return {method: float(np.mean([task[method] for task in tasks])) for method in everywhere}


def picture(means: dict[str, float], intervals: Mapping[str, Sequence[float]], title: str) -> str:
    """A bar a method in the order of `means`, with the (low, high) of those that have an interval, as SVG."""
    names = ["the paper's swarm" if name == "hswarm" else name for name in means]
    ends = [(found[0], found[1]) if (found := intervals.get(name)) else None for name in means]
    return bars_svg(names, list(means.values()), title, ends)


def main() -> None:
    content = json.loads((ROOT / "docs/benchmarks/search_quality_micro_tasks.json").read_text(encoding="utf-8"))
    ours, scores = content["methods"]["growth"], rivals()
    means = mean(scores) | {"growth, the default": ours["test"]}
    shown = sorted(means, key=lambda method: -means[method])[:12]
    shown += [name for name in CONTROLS if name not in shown]
    title = "Mean score on test over the six micro tasks, 2,000 calls a search"
    bars = picture({name: means[name] for name in shown}, {shown[0]: ours["ci"]}, title)
    io.write_text(ROOT / "docs/results.svg", bars)
    text = "\n".join(table(scores, ours["tasks"]))
    fill(ROOT / "docs/results.md", MARK, f"{text}\n\n![{title}](results.svg)")


if __name__ == "__main__":
    main()
