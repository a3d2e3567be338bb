"""File systems without locks (NFS, Lustre mounted so): a search runs as anywhere, what needs locks is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.harness import HERE

pytestmark = pytest.mark.skipif(not (shutil.which("cc") and sys.platform == "linux"), reason="needs a C compiler")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("locks") / "locks.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", made, HERE / "locks.c", "-ldl"], check=True)
    return made


def search(root: Path, run: Path, library: Path | None, *more: str) -> subprocess.CompletedProcess[str]:
    words = [
        sys.executable,
        "-m",
        "hswarm.cli.main",
        "search",
        str(root / "recipes/toy.toml"),
        "--run",
        str(run),
        *more,
    ]
    preload = {"LD_PRELOAD": str(library)} if library else {}
    path = {"PYTHONPATH": str(root / "src")}
    return subprocess.run(words, env=os.environ | path | preload, capture_output=True, text=True, check=False)


def test_a_search_runs_without_locks(root: Path, tmp_path: Path, library: Path) -> None:
    plain, bare = search(root, tmp_path / "plain", None), search(root, tmp_path / "bare", library)
    assert (plain.returncode, bare.returncode) == (0, 0), bare.stderr
    assert f"warning: {tmp_path / 'bare'} cannot be locked (No locks available); use it once at a time" in bare.stderr
    assert (tmp_path / "bare/history.jsonl").read_bytes() == (tmp_path / "plain/history.jsonl").read_bytes()
    (tmp_path / "bare/report.json").unlink()  # as if it had been interrupted: the calls are read again
    words = [sys.executable, "-m", "hswarm.cli.main", "resume", str(tmp_path / "bare")]
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "LD_PRELOAD": str(library)}
    subprocess.run(words, env=environment, capture_output=True, check=True)
    assert (tmp_path / "bare/history.jsonl").read_bytes() == (tmp_path / "plain/history.jsonl").read_bytes()


def test_a_cache_of_several_runs_is_refused(root: Path, tmp_path: Path, library: Path) -> None:
    made = search(root, tmp_path / "run", library, "--set", f"search.cache={tmp_path / 'shared.sqlite'}")
    assert made.returncode == 1
    told = made.stderr.strip().splitlines()[-1]
    assert "is shared by several runs, and its file system has no locks; put it on a disk of this machine" in told
