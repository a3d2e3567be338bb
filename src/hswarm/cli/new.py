"""`hswarm new` writes a recipe to start from; `hswarm demo` searches the world that comes with the package."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from hswarm import io
from hswarm.cli.parser import parser
from hswarm.cli.search import search
from hswarm.errors import UserError
from hswarm.starters.recipe import Own, starter


def new(arguments: argparse.Namespace) -> None:
    """Write the recipe; never over a file that is there."""
    path = Path(arguments.file or f"{arguments.kind}.toml")
    if path.exists():
        raise UserError(f"{path} exists; name another file (--file) or remove it")
    text = starter(arguments.kind, path, Own(arguments.pool, arguments.data))
    io.write_text(path, text)
    print(f"{path}: look at it, then: hswarm search {path}")


def demo(arguments: argparse.Namespace) -> None:
    """A search in a new folder: ten micro experts where transformers is installed, the toy engine elsewhere."""
    real = all(find_spec(name) for name in ("torch", "transformers", "peft"))
    wanted = Path(arguments.run or "hswarm-demo")
    there = [path.name for path in wanted.parent.glob("*")]
    folder = wanted.with_name(io.numbered(wanted.name, there))
    recipe = folder / "demo.toml"
    io.write_text(recipe, starter("micro" if real else "toy", recipe))
    what = "ten micro experts" if real else "the toy engine (for real experts: pip install 'hswarm[cpu]')"
    print(f"{recipe}: a search with {what}", file=sys.stderr)
    search(parser().parse_args(["search", str(recipe), "--run", str(folder / "run")]))
