"""What commands share: the terminal, results as JSON, lines beside them, work that the same command continues."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from hswarm.config.recipe import Recipe


def terminal(stderr: bool = False, soft_wrap: bool = False, quiet: bool = False) -> Console:
    """Where results are printed, word for word: names and paths may hold what rich takes for markup or emoji."""
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=soft_wrap, quiet=quiet, markup=False, emoji=False, highlight=False)


def results(file: str | None, content: object) -> Console:
    """Write `content` to `file` as JSON, "-" for standard output; returns where people read it, nowhere after "-"."""
    from hswarm import io

    text = json.dumps(io.without_nan(content), indent=2) + "\n"
    if file == "-":
        print(text, end="")
    elif file:
        io.write_text(Path(file), text)
    return terminal(quiet=file == "-")


def printable(text: str) -> str:
    """One line without control characters: messages quote other people's files."""
    return "".join(c if c.isprintable() else " " for c in text.replace("\n", "; "))


def readable(text: str) -> str:
    """`text` as a terminal may show it: lines and tabs kept, no other control character."""
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)


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


def with_budgets(recipes: Sequence[Recipe], arguments: argparse.Namespace) -> list[Recipe]:
    """`recipes` with the limits that --budget-calls, --budget-tokens and --budget-seconds name."""
    named = {name: getattr(arguments, f"budget_{name}", None) for name in ("calls", "tokens", "seconds")}
    limits = {name: limit for name, limit in named.items() if limit is not None}
    return [recipe.model_copy(update={"budget": replace(recipe.budget, **limits)}) for recipe in recipes]


def recipe_of(name: str) -> str:
    """The recipe of a run, if `name` is a run's folder; else `name`, "" too, which names nothing."""
    kept = Path(name) / "config.toml"
    return str(kept) if name and kept.is_file() else name
