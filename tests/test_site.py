"""The documentation site: it builds with all links right, and its reference pages hold all that the code has."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hswarm
from hswarm.cli.parser import ACTIONS, COMMANDS
from hswarm.cli.rooms import PLACES, room
from hswarm.config.fields import fields

pytest.importorskip("mkdocs")


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config), "--site-dir", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(words, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    done = build(root / "mkdocs.yml", made)
    assert done.returncode == 0, done.stderr
    return made


def text(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", (page / "index.html").read_text(encoding="utf-8")))


def test_every_page_of_docs_is_there(site: Path, root: Path) -> None:
    for page in (root / "docs").glob("*.md"):
        assert (site / page.stem / "index.html").is_file()
    assert "Who should not use it" in text(site)


def test_the_reference_holds_all_that_the_code_has(site: Path) -> None:
    page = text(site / "reference/command-line")
    for name in [*(name for name, one in COMMANDS.items() if not one.actions), *ACTIONS]:
        assert f"usage: hswarm {name}" in page, name
    page = text(site / "reference/fields")
    for field in fields():
        assert field.name in page
        assert field.meaning.split("`")[0].strip() in " ".join(page.split()), field
    page = text(site / "reference/parts")
    for name in PLACES:
        assert all(part in page for part in room(name).parts)
    page = (site / "reference/python/index.html").read_text()
    for name in hswarm.__all__:
        assert f'id="hswarm.{hswarm._HOMES[name]}.{name}"' in page, name
    assert 'id="hswarm.runs.schema.Report"' in (site / "reference/records/index.html").read_text()


def test_broken_links_fail(root: Path, tmp_path: Path) -> None:
    links = ("gone.md", "quickstart.md#gone")
    for name in ("docs", "scripts", "src"):
        shutil.copytree(root / name, tmp_path / name)
    for name in ("mkdocs.yml", "README.md"):
        shutil.copy(root / name, tmp_path)
    page = tmp_path / "docs/gpu.md"
    page.write_text(page.read_text() + "".join(f"\n[x]({link})\n" for link in links))
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert "gpu.md" in done.stderr
    assert all(link in done.stderr for link in links)
