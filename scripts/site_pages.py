"""Pages of the documentation site that are made from the code (a hook of mkdocs.yml), and links that lead out of it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import hswarm
from hswarm.cli.listing import FIELD, PART, rows_of
from hswarm.cli.parser import ACTIONS, COMMANDS, parser
from hswarm.cli.rooms import PLACES

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
HOME = "https://github.com/hswarm/hswarm/blob/main/"
RAW = "https://raw.githubusercontent.com/hswarm/hswarm/main/"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links from docs/ to files beside it lead to the repository."""
    return re.sub(r"\]\(\.\./([^)]+)\)", rf"]({HOME}\1)", markdown)


def pages() -> dict[str, str]:
    """The text of each page that is made, by its place in the site."""
    return {
        "index.md": index(),
        "reference/command-line.md": command_line(),
        "reference/fields.md": fields(),
        "reference/parts.md": parts(),
        "reference/python.md": python(),
        "reference/records.md": records(),
    }


def index() -> str:
    """README.md, whose links to pages of the site stay in it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.replace(f"{RAW}docs/", "").replace(f"{HOME}docs/", "")


def command_line() -> str:
    """The help of every command."""
    os.environ["COLUMNS"] = "100"
    names = [one for name, command in COMMANDS.items() for one in ([name] if not command.actions else [])]
    lines = ["# Command line", "", f"```\n{parser().format_help()}```"]
    for name in [*names, *ACTIONS]:
        lines += ["", f"## hswarm {name}", "", f"```\n{help_of(name.split())}```"]
    return "\n".join(lines) + "\n"


def help_of(words: list[str]) -> str:
    """What `hswarm WORDS --help` prints."""
    import argparse

    made: argparse.ArgumentParser = parser()
    for word in words:
        (group,) = (action for action in made._actions if isinstance(action, argparse._SubParsersAction))
        made = group.choices[word]
    return made.format_help()


def fields() -> str:
    """Every field of a recipe."""
    told = "Every field that a recipe may have, those that most recipes set first (`hswarm list fields`)."
    return "\n".join(["# Recipe fields", "", told, "", *table(FIELD, rows_of("fields"))]) + "\n"


def parts() -> str:
    """Every task, scorer, engine, method, analysis and study, with its options."""
    lines = ["# Parts and their options", "", "What recipes and commands may name (`hswarm list`)."]
    for name in PLACES:
        lines += ["", f"## {name.capitalize()}", "", *table(PART, rows_of(name))]
    return "\n".join(lines) + "\n"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """A Markdown table; bars in cells are escaped."""
    cells = [[cell.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *([f"`{first}`", *rest] for first, *rest in cells)]
    return [f"| {' | '.join(line)} |" for line in lines]


def python() -> str:
    """The public names, each from where it is defined."""
    lines = ["# Python", "", "`import hswarm` offers these names; importing it is quick, and each is loaded when used."]
    for name in hswarm.__all__:
        lines += ["", f"::: hswarm.{hswarm._HOMES[name]}.{name}"]
    return "\n".join(lines) + "\n"


def records() -> str:
    """The records of which the files of a run are made."""
    told = "What the JSON files of a run hold ([the folder of a run](../run-directory.md))."
    shown = (f"::: hswarm.{m}\n    options: {{show_root_heading: false}}\n" for m in ("runs.schema", "session.records"))
    return "\n\n".join(["# Records in files", told, *shown])
