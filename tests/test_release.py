"""A release: all files name one version, the script refuses what is not ready, citation and templates can be read."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import hswarm


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    """A repository whose one commit holds the files of this one, ready for the version in pyproject.toml."""
    made = tmp_path / "clone"
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True)
    for name in files.stdout.splitlines():
        if (root / name).is_file():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes((root / name).read_bytes())
    changes = made / "CHANGELOG.md"
    changes.write_text(changes.read_text().replace("## Unreleased", f"## {hswarm.__version__}", 1))
    git(made, "init", "-q")
    commit(made)
    return made


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "all", "--allow-empty")


def release(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "scripts/release.sh", *words], cwd=folder, capture_output=True, text=True, check=False
    )


def test_all_files_name_one_version(root: Path) -> None:
    assert tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"] == hswarm.__version__
    assert yaml.safe_load((root / "CITATION.cff").read_text())["version"] == hswarm.__version__


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("pyproject.toml", "version =", "version  =", "pyproject.toml names another version"),
        ("src/hswarm/__init__.py", "__version__ =", "__version__  =", "__init__.py names another version"),
        ("CITATION.cff", "version: 0", "version: 9", "CITATION.cff names another version"),
        ("CHANGELOG.md", "## ", "### ", "CHANGELOG.md has no"),
    ],
)
def test_a_file_of_another_version_is_named(clone: Path, file: str, old: str, new: str, told: str) -> None:
    (clone / file).write_text((clone / file).read_text().replace(old, new))
    commit(clone)
    done = release(clone, hswarm.__version__, "--dry-run")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert told in done.stderr


def test_what_is_not_ready_is_refused(clone: Path) -> None:
    version = hswarm.__version__
    assert "expected a version like" in release(clone, "one").stderr
    assert "expected --dry-run" in release(clone, version, "--dry").stderr
    git(clone, "tag", f"v{version}")
    assert "is tagged already" in release(clone, version).stderr
    (clone / "new").write_text("")
    assert "not committed" in release(clone, version).stderr
    assert git(clone, "tag").split() == [f"v{version}"]


@pytest.mark.slow
def test_a_dry_run_builds_and_tries_the_packages_and_tags_nothing(clone: Path) -> None:
    done = release(clone, hswarm.__version__, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the wheel works alone" in done.stdout
    assert {path.suffix for path in (clone / "dist").iterdir()} == {".whl", ".gz"}
    assert git(clone, "tag") == ""


def test_the_citation_is_of_paper_and_software(root: Path) -> None:
    cited = yaml.safe_load((root / "CITATION.cff").read_text())
    assert cited["type"] == "software"
    paper = cited["preferred-citation"]
    assert (paper["type"], paper["year"], len(paper["authors"])) == ("article", 2025, 11)
    assert "2502.04510" in paper["url"]


def test_issue_templates_are_forms(root: Path) -> None:
    forms = [yaml.safe_load(path.read_text()) for path in sorted((root / ".github/ISSUE_TEMPLATE").glob("*.yml"))]
    assert len(forms) == 3
    for form in forms:
        if "body" in form:
            assert {"name", "description", "body"} <= form.keys()
            assert all(part["type"] == "textarea" and part["attributes"]["label"] for part in form["body"])
