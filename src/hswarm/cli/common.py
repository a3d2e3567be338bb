"""What commands share: the terminal, lines beside the results, work that the same command continues."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console


def terminal(stderr: bool = False, soft_wrap: bool = False) -> Console:
    """Where results are printed, word for word: names and paths may hold what rich takes for markup or emoji."""
    return Console(stderr=stderr, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False)


def say(text: str) -> None:
    """A line about the work, beside the results."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def continuing(kept: str) -> Iterator[None]:
    """Tell whoever interrupts the block what is kept of its work, "in <folder>", and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"\nkept {kept}; the same command continues")
        raise


def recipe_of(name: str) -> str:
    """The recipe of a run, if `name` is a run's folder; else `name`, "" too, which names nothing."""
    kept = Path(name) / "config.toml"
    return str(kept) if name and kept.is_file() else name
