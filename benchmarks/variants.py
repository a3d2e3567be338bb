"""What one setting of the search changes, beside its control: hswarm in comparisons that differ in that setting alone.

    hswarm compare recipes/micro-tasks/*.toml --seeds 5 --run runs/micro-compare
    hswarm compare recipes/micro-tasks/*.toml --seeds 5 --methods hswarm --set selection.held_out=0.2 --run runs/held
    python benchmarks/variants.py runs/micro-compare runs/held ...

Prints a Markdown table: test score over all tasks, and the paired difference to the first comparison, by question (a
question's scores are averaged over seeds), with its 95 % interval; and what was scored on dev less test.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from hswarm.core.stats import paired_test


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("control", type=Path)
    parser.add_argument("variants", type=Path, nargs="+")
    given = parser.parse_args()
    control, drop = scores(given.control)
    print("| comparison | test | against the control | 95 % interval | tasks up, down | dev - test |")
    print("|---" * 6 + "|")
    print(f"| {given.control.name} | {np.mean(np.concatenate(list(control.values()))):.3f} | | | | {drop:+.3f} |")
    for path in given.variants:
        found, drop = scores(path)
        ours, theirs = (np.concatenate([part[task] for task in control]) for part in (found, control))
        test = paired_test(ours, theirs, np.random.default_rng(0))
        means = [float(np.mean(found[task] - control[task])) for task in control]
        ways = f"{sum(m > 0 for m in means)}, {sum(m < 0 for m in means)}"
        interval = f"{test.low:+.3f} to {test.high:+.3f}"
        print(f"| {path.name} | {ours.mean():.3f} | {test.difference:+.3f} | {interval} | {ways} | {drop:+.3f} |")


def scores(comparison: Path) -> tuple[dict[str, np.ndarray], float]:
    """hswarm's test scores by task, a question each, averaged over seeds; and by how much dev is above test."""
    results: dict[str, list[dict[str, list[float]]]] = {}
    for path in sorted(comparison.glob("*/hswarm/*/result.json")):
        results.setdefault(path.parts[-4], []).append(json.loads(path.read_text()))
    means = {
        task: np.mean([np.array(one["test"], dtype=float) for one in made], axis=0) for task, made in results.items()
    }
    drops = [np.nanmean(one["dev"]) - np.nanmean(one["test"]) for made in results.values() for one in made]
    return means, float(np.mean(drops))


if __name__ == "__main__":
    main()
