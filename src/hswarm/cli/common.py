"""What commands share that carry out many jobs in a folder and, given again, the missing ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def say(text: str) -> None:
    """A line about the work, beside the results."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def continuing(path: Path) -> Iterator[None]:
    """Whoever interrupts the block hears where its work is kept."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"\nkept in {path}; the same command continues")
        raise
