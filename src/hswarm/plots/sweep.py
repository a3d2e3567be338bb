"""A sweep in one picture: the score of every trial, and what the score depends on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hswarm.errors import MissingExtra


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Write the picture of results.json as SVG. MissingExtra without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingExtra("the picture", "sweep") from missing
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    whole = [row for row in results["trials"] if row["score"] is not None]
    best = [max(row["score"] for row in whole[: i + 1]) for i in range(len(whole))]
    numbers = [row["trial"] for row in whole]
    left.plot(numbers, [row["score"] for row in whole], "o", label="trial")
    left.step(numbers, best, where="post", label="best so far")
    left.set(xlabel="trial", ylabel="dev")
    left.legend()
    shares = results["importance"] or {}
    names = list(shares)[::-1]
    right.barh([name.replace(",", "\n") for name in names], [shares[name] for name in names])
    right.set(xlabel="importance" if shares else "importance: too few trials to say")
    figure.savefig(path, metadata={"Date": None})
