"""Kills searches and cuts their power at random moments, resumes them, and compares with one that was never stopped.

    python benchmarks/crash_matrix.py --kills 120 --changes 60 --cuts 60 [--seed 0] [--json FILE]

Three ways to die: kill -9 from outside at a random moment; at a random change of the run's files (the exact place
between any two of them); a power cut there, after which the disk holds only what was synced, or that and a random part
of what was written later. Each run is stopped again and again until it ends. Needs a C compiler and /dev/shm.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).parent.parent))  # for tests.faults

from tests.faults.harness import Disk, go_on, kill_after, make_recipe, phase, result, run, start, timed

SLOW = {"slow": 0.002}  # seconds a call, so that a good part of a run is generation


class Matrix:
    """Broken runs against a whole one; `table` counts stops by (way, phase), `lost` names what was not equal."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng = folder, rng
        self.table: Counter[tuple[str, str]] = Counter()
        self.lost: list[str] = []
        self.runs = 0
        self.recipe = make_recipe(folder)
        self.disk = Disk(folder)
        self.seconds = timed("search", self.recipe, "--run", folder / "whole", faults=SLOW)
        self.whole = result(folder / "whole")

    def by_time(self, stops: int) -> None:
        """kill -9 from outside after a random time."""
        self._until("kill -9 at a random time", stops, self._kill_later)

    def by_change(self, stops: int) -> None:
        """kill -9 at a random change of the run's files; every other time calls that are cached do not count."""
        self._until("kill -9 at a change of files", stops, self._kill_there)

    def by_power(self, stops: int) -> None:
        """A power cut at a random change of the run's files."""
        self._until("power cut, only synced data left", stops // 2, lambda path: self._cut(path, None))
        self._until("power cut, later writes torn", stops - stops // 2, lambda path: self._cut(path, self.rng))

    def _until(self, way: str, stops: int, stop: object) -> None:
        """Runs stopped by `stop` up to five times each, then resumed to the end, until there were `stops`."""
        done = 0
        while done < stops:
            self.disk.clear()
            path, mine = self.disk.folder / "runs" / "run", 0
            path.parent.mkdir()
            while mine < 5 and not (path / "report.json").exists() and stop(path):  # type: ignore[operator]
                mine += 1
                self.table[way, phase(path)] += 1
            self._finish(path, f"{way}, run {self.runs}")
            done += mine
            self.runs += 1
            print(f"\r{way}: {done} of {stops}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)

    def _finish(self, path: Path, what: str) -> None:
        if not (path / "report.json").exists():
            status, _, err = run(*go_on(self.recipe, path))
            if status:
                self.lost.append(f"{what}: resume gave {status}: {err.strip().splitlines()[-1]}")
                return
        if result(path) != self.whole:
            self.lost.append(f"{what}: history, report or best differ")

    def _kill_later(self, path: Path) -> bool:
        return kill_after(start(*go_on(self.recipe, path), faults=SLOW), self.rng.uniform(0.2, 1.1) * self.seconds)

    def _kill_there(self, path: Path) -> bool:
        every = self.rng.random() < 0.5
        kill = self.rng.randint(1, 600 if every else 200)
        setting = self.disk.environment(kill, "" if every else "cache.sqlite")
        return run(*go_on(self.recipe, path), **setting)[0] == -9

    def _cut(self, path: Path, rng: random.Random | None) -> bool:
        stopped = self._kill_there(path)
        if stopped:
            self.disk.cut_power(rng)
        return stopped


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in (("kills", 120), ("changes", 60), ("cuts", 60), ("seed", 0)):
        arguments.add_argument(f"--{name}", type=int, default=count)
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        matrix = Matrix(Path(folder), random.Random(chosen.seed))
        matrix.by_time(chosen.kills)
        matrix.by_change(chosen.changes)
        matrix.by_power(chosen.cuts)
    for (way, where), count in sorted(matrix.table.items()):
        print(f"| {way} | {where} | {count} |")
    print(f"{matrix.table.total()} stops of {matrix.runs} runs, {len(matrix.lost)} lost", *matrix.lost, sep="\n")
    if chosen.json:
        stops = [{"way": way, "phase": where, "stops": count} for (way, where), count in sorted(matrix.table.items())]
        chosen.json.write_text(json.dumps({"stops": stops, "runs": matrix.runs, "lost": matrix.lost}, indent=2) + "\n")
    sys.exit(bool(matrix.lost))


if __name__ == "__main__":
    main()
