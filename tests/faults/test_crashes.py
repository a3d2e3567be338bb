"""A search that is killed, cut off from power, moved or refused its disk loses nothing. Real processes throughout."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness import HERE, Disk, Result, begun, go_on, kill_after, make_recipe, result, run, start, timed

ISOLATED = ["unshare", "--map-root-user", "--mount"]  # a mount that no other process sees


def test_killed_at_random_moments(tmp_path: Path, faulty_recipe: Path, whole: Result) -> None:
    rng, kills = random.Random(0), 0
    seconds = timed("search", faulty_recipe, "--run", tmp_path / "slow", faults={"slow": 0.002})
    for attempt in range(20):
        path = tmp_path / f"run{attempt}"
        killed = kill_after(
            start("search", faulty_recipe, "--run", path, faults={"slow": 0.002}), rng.uniform(0.5, 0.9) * seconds
        )
        assert (path / "report.json").exists() or run(*go_on(faulty_recipe, path))[0] == 0
        assert result(path) == whole
        kills += killed
        if kills == 2:
            break
    assert kills == 2


@pytest.mark.parametrize("kill", [2, 46, 75, 110])
def test_killed_between_two_changes_of_files(disk: Disk, faulty_recipe: Path, whole: Result, kill: int) -> None:
    path = disk.folder / "runs" / "run"
    assert run("search", faulty_recipe, "--run", path, **disk.environment(kill, "cache.sqlite"))[0] == -signal.SIGKILL
    assert run(*go_on(faulty_recipe, path))[0] == 0
    assert result(path) == whole


@pytest.mark.parametrize(("kill", "torn"), [(25, False), (120, False), (120, True), (260, True)])
def test_power_cut(disk: Disk, faulty_recipe: Path, whole: Result, kill: int, torn: bool) -> None:
    path = disk.folder / "runs" / "run"
    assert run("search", faulty_recipe, "--run", path, **disk.environment(kill))[0] == -signal.SIGKILL
    disk.cut_power(random.Random(kill) if torn else None)
    assert run(*go_on(faulty_recipe, path))[0] == 0
    assert result(path) == whole


@pytest.mark.slow
def test_crash_matrix(tmp_path: Path) -> None:
    """A tenth of the kills and power cuts of docs/reliability.md."""
    words = ["--kills", "12", "--changes", "6", "--cuts", "6", "--json", str(tmp_path / "matrix.json")]
    script = str(HERE.parent.parent / "benchmarks/crash_matrix.py")
    assert subprocess.run([sys.executable, script, *words]).returncode == 0
    found = json.loads((tmp_path / "matrix.json").read_text())
    assert found["lost"] == []
    assert sum(row["stops"] for row in found["stops"] if row["way"].startswith("kill")) >= 18


def test_second_process_is_refused_with_pid_and_host(tmp_path: Path, faulty_recipe: Path) -> None:
    path = tmp_path / "run"
    first = start("search", faulty_recipe, "--run", path, faults={"slow": 0.02})
    begun(path)
    status, _, err = run("resume", path)
    assert (status, len(err.strip().splitlines())) == (2, 1)
    assert f"in use by process {first.pid} on {socket.gethostname()}" in err
    assert first.wait(60) == 0
    first.communicate()


@pytest.mark.skipif(subprocess.run([*ISOLATED, "true"]).returncode != 0, reason="needs user namespaces")
class TestDisk:
    def shell(self, script: Any, *words: Any, **environment: Any) -> Any:
        path = os.pathsep.join([str(HERE.parent.parent / "src"), str(HERE / "plugin")])
        command = (
            f'hswarm() {{ {sys.executable} -m hswarm.cli.main "$@"; }}; set -- {" ".join(map(str, words))}; {script}'
        )
        return subprocess.run(
            [*ISOLATED, "bash", "-c", command],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": path} | environment,
        )

    @pytest.mark.parametrize(
        "size", ["100k", *(pytest.param(f"{k}k", marks=pytest.mark.slow) for k in (20, 40, 60, 80, 140, 160, 200, 240))]
    )
    def test_full_disk_stops_clearly_and_goes_on_after_room_is_made(
        self, tmp_path: Path, faulty_recipe: Path, whole: Result, size: str
    ) -> None:
        (tmp_path / "small").mkdir()
        script = """
            mount -t tmpfs -o size=$3 small $2/small
            hswarm search $1 --run $2/small/run >$2/out 2>$2/err; echo $? >$2/status
            mount -o remount,size=50m $2/small
            if [ -e $2/small/run/config.toml ]; then hswarm resume $2/small/run; else hswarm search $1 --run $2/small/run; fi || exit 9
            cp -r $2/small/run $2/run
        """
        done = self.shell(script, faulty_recipe, tmp_path, size)
        assert done.returncode == 0, done.stderr
        err = (tmp_path / "err").read_text()
        assert (tmp_path / "status").read_text().strip() in {"1", "2"}
        assert "Traceback" not in err
        assert "full" in err or "No space" in err
        assert "room" in err
        assert result(tmp_path / "run") == whole

    @pytest.mark.slow
    def test_read_only_folder(self, tmp_path: Path, faulty_recipe: Path) -> None:
        path = tmp_path / "run"
        process = start("search", faulty_recipe, "--run", path, faults={"slow": 0.004})
        begun(path)
        kill_after(process, 0)
        script = """
            mount --bind $2 $2 && mount -o remount,ro,bind $2
            hswarm resume $2/run; echo $?
            hswarm search $1 --run $2/new; echo $?
            hswarm show $2/run; echo $?
        """
        done = self.shell(script, faulty_recipe, tmp_path)
        assert "Traceback" not in done.stderr
        assert [line for line in done.stdout.splitlines() if len(line) == 1] == ["2", "2", "0"]
        assert done.stderr.count("Read-only file system") == 2


@pytest.mark.slow
def test_clock_going_backwards(tmp_path: Path, faulty_recipe: Path, whole: Result) -> None:
    """Files from the future, and a start later than the end."""
    path = tmp_path / "run"
    process = start("search", faulty_recipe, "--run", path, faults={"slow": 0.004})
    begun(path)
    kill_after(process, 0)
    for file in path.rglob("*"):
        os.utime(file, (2**32, 2**32))
    assert run("resume", path)[0] == 0
    assert result(path) == whole
    assert json.loads((path / "report.json").read_text())["wall_s"] >= 0


@pytest.mark.slow
def test_moved_to_another_folder(tmp_path: Path, whole: Result) -> None:
    """The run alone is moved; then its pool is, and the error says where it was looked for."""
    recipe = make_recipe(tmp_path / "given")
    path, other = tmp_path / "run", tmp_path / "elsewhere" / "moved run"
    process = start("search", recipe, "--run", path, faults={"slow": 0.004})
    begun(path)
    kill_after(process, 0)
    other.parent.mkdir()
    shutil.move(path, other)
    (tmp_path / "given" / "pool").rename(tmp_path / "pool2")
    status, _, err = run("resume", other)
    assert status == 2
    assert f"no folder {tmp_path / 'given' / 'pool'}" in err
    (tmp_path / "pool2").rename(tmp_path / "given" / "pool")
    assert run("resume", other)[0] == 0
    assert result(other) == whole
