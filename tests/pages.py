"""A page of docs as something to run: the files that it shows, its blocks and the commands in them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[1] / "docs"
FILE = re.compile(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", re.M | re.S)
BLOCK = re.compile(r"^(?:`(\S+)`:\n\n)?```(\w*)\n(.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """A fenced block: the file it is, "" for none, its language and its text."""

    file: str
    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        """The commands of a shell block, without comments."""
        whole = self.text.replace("\\\n", " ").splitlines()
        return [line for line in whole if shlex.split(line, comments=True)]


def blocks(page: str) -> list[Block]:
    """The blocks of docs/`page`, in order."""
    return [Block(*found) for found in BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))]


def files(page: str) -> dict[str, str]:
    """The files that docs/`page` shows, by name: a block below a line that holds a name alone."""
    return dict(FILE.findall((DOCS / page).read_text(encoding="utf-8")))


def commands(page: str) -> list[str]:
    """The commands that docs/`page` shows, in order."""
    return [line for block in blocks(page) if block.language == "sh" for line in block.lines]


def hswarm(command: str, folder: Path, *path: Path) -> subprocess.CompletedProcess[str]:
    """`command`, which begins with the word hswarm, run in `folder`; `path` goes before PYTHONPATH."""
    words = shlex.split(command)
    assert words[0] == "hswarm", command
    old = os.environ.get("PYTHONPATH", "")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*map(str, path), *filter(None, [old])])}
    environment.pop("HSWARM_ALLOW", None)  # a page's own --allow must do
    run = [sys.executable, "-m", "hswarm.cli.main", *words[1:]]
    return subprocess.run(run, cwd=folder, capture_output=True, text=True, env=environment, check=False)
