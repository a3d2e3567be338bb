"""`hswarm report`: what a run found, as one page; live while it goes on."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hswarm.errors import RunError
from hswarm.report.render import write_page
from hswarm.report.summary import gather
from hswarm.runs.directory import Run

_REFRESH = 5  # seconds between two looks of a browser at a page of a run that goes on
_POLL = 0.5


def report(arguments: argparse.Namespace) -> None:
    """Write the page, once or as often as the run gets further, and say where it is."""
    run = Run.open(arguments.run)
    targets = [Path(name) for name in arguments.out or [run.path / "report.html"]]
    comparison = Path(arguments.comparison) if arguments.comparison else None
    if arguments.follow:
        _follow(run, targets, comparison)
    _write(run, targets, comparison, 0)
    for path in targets:
        print(path)


def _follow(run: Run, targets: Sequence[Path], comparison: Path | None) -> None:
    """Write the report again after each iteration, until the run is finished or nobody works on it."""
    seen = -1
    while (state := run.state) == "running":
        length = len(run.history())
        if length > seen:
            try:
                _write(run, targets, comparison, _REFRESH)
            except RunError:
                if seen >= 0:  # the best system is just being replaced: the next look finds it
                    continue
                raise
            if seen < 0:
                print(f"following {run.path}: {', '.join(map(str, targets))}", file=sys.stderr, flush=True)
            seen = length
        time.sleep(_POLL)
    if state == "interrupted":
        print(f"nobody works on {run.path}; continue with: hswarm resume {run.path}", file=sys.stderr)


def _write(run: Run, targets: Sequence[Path], comparison: Path | None, refresh: int) -> None:
    facts = gather(run, comparison)
    for path in targets:
        write_page(facts, path, refresh)
