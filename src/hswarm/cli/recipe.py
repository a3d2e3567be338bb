"""`hswarm import-reference`: from the authors' search script to a recipe."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from hswarm import io
from hswarm.cli.parser import parser
from hswarm.compat.reference import FLAGS, read_args, recipe_content, root_of
from hswarm.config.recipe import build_recipe, toml_text
from hswarm.errors import ConfigError, UserError


def import_reference(arguments: argparse.Namespace) -> None:
    """Print the recipe, or write it to --out; the arguments come as options, in one quoted text, or as an args.json."""
    words = list(arguments.words)
    if len(words) == 1 and " " in words[0]:
        options = parser().parse_args(["import-reference", *shlex.split(words[0].replace("\\\n", " "))])
        options.out, options.root = arguments.out or options.out, arguments.root or options.root
        import_reference(options)
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
