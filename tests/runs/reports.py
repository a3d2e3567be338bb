"""A report as report.json holds it, whole, with parts that a test replaces."""

from __future__ import annotations

from typing import Any

from hswarm.runs.schema import Report


def score(value: float | None, n: int = 200) -> dict[str, Any]:
    return {"score": value, "n": n, "ci": [value - 0.05, value + 0.05] if value is not None else None}


def report(**more: Any) -> Report:
    content = {
        "task": "sums",
        "engine": "toy",
        "seed": 0,
        "dev": score(0.6),
        "test": score(0.6),
        "best_single": {"expert": "a", "dev": score(0.4), "test": score(0.4)},
        "start": {"dev": score(0.5), "test": score(0.5)},
        "singles": {"a": 0.4, "b": 0.3},
        "found_at": "1/role",
        "topology": {"size": 3, "edges": [[0, 2], [1, 2]], "assignment": ["a", "b", "a"]},
        "iterations": 2,
        "stopped": {"iterations": 2},
        "calls": {"requested": 150, "generated": 100, "reused": 50},
        "tokens": {"prompt": 3000, "completion": 1000},
        "overlap": 0,
        "wall_s": 12.0,
        "versions": {},
        "test_faults": {"best_single": {"unparsed": 0}},
        "gain_on_test": {"difference": 0.2, "ci": [0.1, 0.3], "p_value": 0.001},
    }
    return Report.model_validate(content | more)
