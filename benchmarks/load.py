"""A million calls on the toy engine: is memory flat, how large is the cache, can another process read the history?

    python benchmarks/load.py [--calls 1000000] [--json FILE]

Runs `hswarm search` in a process of its own with patience without end, looks at it twice a second, and reads its
history as another program would.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hswarm.runs.directory import Run

ROOT = Path(__file__).parent.parent
A_STEP = 10 * 4 * 60 + 15 * 4 * 60  # calls an iteration of recipes/toy.toml: graphs and assignments, nodes, questions


def memory(process: subprocess.Popen[bytes]) -> float:
    """Resident memory in MB; 0 when the process has ended."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
    except (OSError, StopIteration):
        return 0.0


def watch(calls: int, path: Path) -> dict[str, object]:
    """Figures of a search of at least that many calls."""
    iterations = -(-calls // A_STEP)
    words = [
        "search",
        ROOT / "recipes/toy.toml",
        "--run",
        path,
        "--set",
        f"search.iterations={iterations}",
        "--set",
        f"search.patience={iterations}",
    ]
    began, seen, reads, unreadable = time.monotonic(), [], 0, 0
    process = subprocess.Popen([sys.executable, "-m", "hswarm.cli.main", *map(str, words)], stderr=subprocess.DEVNULL)
    while process.poll() is None:
        time.sleep(0.5)
        if not (path / "config.toml").exists():
            continue
        try:
            done = len(Run.open(path).history())
            reads += 1
        except Exception:  # whatever it is, it is counted
            unreadable += 1
            continue
        if done and (used := memory(process)):
            seen.append((done / iterations, used))
    report = json.loads((path / "report.json").read_text())
    quarter = [max((used for share, used in seen if q / 4 <= share < (q + 1) / 4), default=0.0) for q in range(4)]
    sizes = {name: sum(f.stat().st_size for f in path.glob(name)) / 1e6 for name in ("cache.sqlite*", "history.jsonl")}
    return {
        "calls": report["calls"],
        "iterations": iterations,
        "seconds": round(time.monotonic() - began),
        "memory_mb_by_quarter": [round(value, 1) for value in quarter],
        "history_reads": reads,
        "history_reads_failed": unreadable,
        "megabytes": {k: round(v, 1) for k, v in sizes.items()},
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--calls", type=int, default=1_000_000)
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = watch(chosen.calls, Path(folder) / "run")
    text = json.dumps(found, indent=2)
    print(text)
    if chosen.json:
        chosen.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
