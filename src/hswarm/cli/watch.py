"""`hswarm watch`: a page about a run, served on this machine until Ctrl-C."""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from pathlib import Path

from hswarm.runs.directory import Run
from hswarm.server.watch import watching


def watch(arguments: argparse.Namespace) -> None:
    """Serve the page of a run, finished or not, whoever works on it."""
    Run.open(arguments.run)  # whatever is wrong with it is said at once
    with watching(Path(arguments.run), arguments.port) as address, suppress(KeyboardInterrupt):
        print(f"watch it at {address}; Ctrl-C ends it", flush=True)
        while True:
            time.sleep(1)
