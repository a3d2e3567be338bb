"""`hswarm export`: a found system as one folder to hand on."""

from __future__ import annotations

import argparse
from pathlib import Path

from hswarm.bundle.export import EXPORTS
from hswarm.bundle.package import open_source
from hswarm.cli.view import view


def export(arguments: argparse.Namespace) -> None:
    """Write a bundle, a plain adapter or a merged model."""
    source = open_source(arguments.run)
    if arguments.prune:
        from hswarm.bundle.prune import prune

        with view() as progress:
            source = prune(source, Path(arguments.run), progress)
        if source.report and (pruned := source.report.pruned):
            dev = f"dev {pruned.dev_before:.3f} to {pruned.dev_after:.3f}"
            print(f"pruned from {pruned.nodes} to {pruned.kept} nodes: {dev}")
    EXPORTS[getattr(arguments, "as")](source, Path(arguments.folder))
    print(f"{arguments.folder}: {getattr(arguments, 'as')} of {source.name}, {source.system.topology.size} nodes")
