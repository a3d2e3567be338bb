"""Claim: moving A and B apart is not moving the update; "delta" is nearer to it at every rank from the experts' own on.

python benchmarks/spaces.py        (about a minute; writes docs/spaces.json)

For each two experts of the starter pool: the adapter half-way between them by either space, and its relative error (in
Frobenius norm) to the mean of the two updates themselves.
"""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np

from hswarm.experts.adapter import Adapter
from hswarm.experts.blend import factors
from hswarm.experts.expert import Expert
from hswarm.experts.pool import ExpertPool, PoolSettings, open_pool

ROOT = Path(__file__).parents[1]
RANKS = (2, 4, 6, 8)


def main() -> None:
    """Measure and write."""
    plain = open_pool(PoolSettings(path=str(ROOT / "experts" / "smollm2")))
    errors: dict[str, list[float]] = {}
    for one, other in combinations(range(len(plain.experts)), 2):
        row = np.zeros(len(plain.experts))
        row[[one, other]] = 0.5
        true = ExpertPool(plain.experts, plain.base, "delta", 8).blend(row, "true")  # two of rank 4: exact
        errors.setdefault("factors", []).append(error(plain.blend(row, "made"), true))
        for rank in RANKS:
            made = ExpertPool(plain.experts, plain.base, "delta", rank).blend(row, "made")
            errors.setdefault(f"delta, rank {rank}", []).append(error(made, true))
    result = {space: {"mean": float(np.mean(found)), "max": float(np.max(found))} for space, found in errors.items()}
    (ROOT / "docs" / "spaces.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for space, found in result.items():
        print(f"{space}: mean {found['mean']:.3f}, max {found['max']:.3f}")


def error(made: Expert, true: Expert) -> float:
    """|made - true| / |true| over all modules, without forming an update."""
    assert isinstance(made, Adapter)
    assert isinstance(true, Adapter)
    mine, theirs = factors(made), factors(true)
    away = whole = 0.0
    for module, (down, up) in theirs.items():
        a, b = mine[module]
        away += square(np.vstack([a, down]), np.hstack([b, -up]))
        whole += square(down, up)
    return float(np.sqrt(max(away, 0.0) / whole))


def square(down: np.ndarray, up: np.ndarray) -> float:
    """|up @ down| squared."""
    return float(np.sum((up.T @ up) * (down @ down.T)))


if __name__ == "__main__":
    main()
