"""Fixtures: a recipe on the plug-in engine, and the run of it that was never stopped."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Disk, Result, make_recipe, result, timed


@pytest.fixture
def faulty_recipe(tmp_path: Path) -> Path:
    return make_recipe(tmp_path / "given")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The result of the run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    timed("search", make_recipe(folder / "given"), "--run", folder / "run")
    return result(folder / "run")


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, where no two files share an inode number."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("needs /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def disk(memory: Path) -> Disk:
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler")
    return Disk(memory)
