"""`hswarm export`: a found system as one folder to pass on, or a repository of the hub."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hswarm.bundle.export import EXPORTS
from hswarm.bundle.package import Source, open_source
from hswarm.bundle.publish import HubRepository
from hswarm.cli.view import view
from hswarm.errors import RunError


def export(arguments: argparse.Namespace) -> None:
    """Write a bundle, a plain adapter or a merged model, and push it to the hub if asked."""
    if not arguments.folder and not arguments.push:
        raise RunError("nowhere to export to; name a folder, or a repository of the hub (--push owner/name)")
    if arguments.public and not arguments.push:
        raise RunError("--public is for a repository of the hub; name one (--push owner/name)")
    repository = HubRepository(arguments.push) if arguments.push else None
    if repository:
        repository.check()
    source = replace(_source(arguments), hub=arguments.push)
    kind = getattr(arguments, "as")
    what = f"{kind} of {source.name}, {source.system.topology.size} nodes"
    with _folder(arguments.folder) as folder:
        EXPORTS[kind](source, folder)
        if arguments.folder:
            print(f"{arguments.folder}: {what}")
        if repository:
            print(f"{repository.upload(folder, what, public=arguments.public)}: {what}")


def _source(arguments: argparse.Namespace) -> Source:
    source = open_source(arguments.run)
    if not arguments.prune:
        return source
    from hswarm.bundle.prune import prune

    with view() as progress:
        source = prune(source, Path(arguments.run), progress)
    if source.report and (pruned := source.report.pruned):
        dev = f"dev {pruned.dev_before:.3f} to {pruned.dev_after:.3f}"
        print(f"pruned from {pruned.nodes} to {pruned.kept} nodes: {dev}")
    return source


@contextmanager
def _folder(name: str | None) -> Iterator[Path]:
    """The folder `name`, or without a name one that goes when it has been pushed."""
    if name:
        yield Path(name)
        return
    with tempfile.TemporaryDirectory() as place:
        yield Path(place) / "export"
