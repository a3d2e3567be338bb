"""`hswarm search`, `resume` and `show`: a search watched from the terminal."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hswarm.cli.view import print_run, view
from hswarm.config.recipe import read_recipe
from hswarm.errors import EngineError, StorageError
from hswarm.experiments import search as searches
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress


def search(arguments: argparse.Namespace) -> None:
    """Run a recipe to the end and print the result."""
    chosen = [f"search.method={arguments.method}"] if arguments.method else []
    chosen += [f"search.start={json.dumps(arguments.start)}"] if arguments.start else []
    recipe = read_recipe(arguments.recipe, [*arguments.overrides, *chosen], arguments.preset)
    path = Path(arguments.run or f"runs/{recipe.name}")
    with page(arguments, path):
        _follow(path, lambda progress: searches.search(recipe, path, progress, calibrate=arguments.forecast))


def resume(arguments: argparse.Namespace) -> None:
    """Continue a run to the end and print the result."""
    with page(arguments, Path(arguments.run)):
        _follow(Path(arguments.run), lambda progress: searches.resume(arguments.run, progress))


def show(arguments: argparse.Namespace) -> None:
    """Print the report of a finished run, or how far an unfinished one is."""
    print_run(Run.open(arguments.run), arguments.json)


@contextmanager
def page(arguments: argparse.Namespace, path: Path) -> Iterator[None]:
    """Serve a page about the run at `path` during the block, if --watch asks for it."""
    if not arguments.watch:
        yield
        return
    from hswarm.server.watch import watching

    with watching(path, arguments.port) as address:
        print(f"watch it at {address}", file=sys.stderr, flush=True)
        yield


def _follow(path: Path, work: Callable[[Progress], Run]) -> None:
    """Show the search that `work` carries out and print its result; if it is interrupted, how to continue it."""
    with view() as progress:
        try:
            run = work(progress)
        except (KeyboardInterrupt, EngineError, StorageError, OSError):
            if (path / "config.toml").exists():
                print(f"\nkept in {path}; continue with: hswarm resume {path}", file=sys.stderr)
            raise
    print_run(run)
