"""`hswarm recipe from-reference`: moving house from the authors' search script."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from hswarm import io
from hswarm.cli import main
from hswarm.compat.reference import FLAGS, read_args, recipe_content, root_of
from hswarm.config.recipe import build_recipe, toml_text
from hswarm.errors import ConfigError, UserError


def from_reference(arguments: argparse.Namespace) -> None:
    """Print the recipe, or write it to --out; the arguments come as options, in one quoted text, or as an args.json."""
    words = list(arguments.words)
    if len(words) == 1 and " " in words[0]:
        options = main.parser().parse_args(["recipe", "from-reference", *shlex.split(words[0].replace("\\\n", " "))])
        options.out, options.root = arguments.out or options.out, arguments.root or options.root
        from_reference(options)
        return
    given = {flag.name: value for flag in FLAGS if (value := getattr(arguments, flag.name)) is not None}
    root = Path.cwd()
    if words and not any(word.endswith(".py") for word in words):
        if given or len(words) > 1:
            raise ConfigError([f"expected one args.json, or flags of the authors' script, got '{' '.join(words)}'"])
        path = Path(words[0]) / "args.json" if Path(words[0]).is_dir() else Path(words[0])
        given, root = read_args(path), root_of(path)
    content, remarks = recipe_content(given, Path(arguments.root or root))
    build_recipe(content)
    text = "".join(f"# {remark}\n" for remark in remarks) + toml_text(content)
    if not arguments.out:
        print(text, end="")
        return
    if Path(arguments.out).exists():
        raise UserError(f"{arguments.out} exists; name another file (--out) or remove it")
    io.write_text(Path(arguments.out), text)
    print(f"{arguments.out}: see what it will ask for with: hswarm plan {arguments.out}")
