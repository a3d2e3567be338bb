"""Claim: the weight-step over whole checkpoints stays under twice the largest tensor times the number of terms.

python benchmarks/weight_step_memory.py        (about 5 minutes on 2 cores; writes docs/weight-step-memory.json)

Whole SmolLM2-135M checkpoints are made by adding each expert of the starter pool to the base (bfloat16). Then, each in
a process of its own, 2 to 6 of them are blended and written by ExpertPool.blend; the peak is the resident memory over
what the process held before. Rival: the same sum with every checkpoint loaded at once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hswarm.experts import shards
from hswarm.experts.adapter import Adapter
from hswarm.experts.base import find_base
from hswarm.experts.blend import factors
from hswarm.experts.checkpoint import Checkpoint
from hswarm.experts.pool import PoolSettings, open_pool

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Make the checkpoints, measure each number of terms in both ways, write."""
    parser = argparse.ArgumentParser(description="Peak memory of a blend of whole checkpoints.")
    parser.add_argument("--terms", type=int, nargs="*", default=[2, 4, 6])
    parser.add_argument("--measure", nargs=3, metavar=("WAY", "TERMS", "POOL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        way, terms, pool = arguments.measure
        print(json.dumps(measure(way, int(terms), Path(pool))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        pool = make_checkpoints(Path(scratch) / "pool", max(arguments.terms))
        found = {
            way: {terms: run(way, terms, pool) for terms in arguments.terms} for way in ("streamed", "loaded at once")
        }
        tensors = Checkpoint.read(next(iter(sorted(pool.iterdir())))).parts[0][1].tensors
        largest = max(stored.size * shards.KINDS[stored.kind].itemsize for stored in tensors.values())
        result = {
            "largest_tensor": largest,
            "checkpoint": sum(2 * stored.size for stored in tensors.values()),
            "bound": {terms: 2 * largest * terms for terms in arguments.terms},
            **found,
        }
    (ROOT / "docs" / "weight-step-memory.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def make_checkpoints(folder: Path, count: int) -> Path:
    """Whole models: the base plus each of the first experts of the starter pool."""
    base = Checkpoint.read(find_base("smollm2-135m"))
    experts = open_pool(PoolSettings(path=str(ROOT / "experts" / "smollm2"))).experts
    for expert in experts[:count]:
        assert isinstance(expert, Adapter)
        updates = factors(expert)
        target = folder / expert.name
        base.write(target)  # then the changed tensors are written over their old bytes
        with (target / shards.SINGLE).open("r+b") as file:
            for name, stored in shards.tensors_in(target).items():
                if (module := name.removesuffix(".weight")) in updates:
                    down, up = updates[module]
                    whole = shards.widen(stored.whole(), stored.kind) + (up @ down).astype(np.float32)
                    file.seek(stored.start)
                    file.write(shards.narrow(whole, stored.kind).tobytes())
    return folder


def run(way: str, terms: int, pool: Path) -> dict[str, float]:
    """A measurement in a process of its own."""
    command = [sys.executable, __file__, "--measure", way, str(terms), str(pool)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(way, terms, found, flush=True)
    return found


def measure(way: str, terms: int, folder: Path) -> dict[str, float]:
    """Bytes of peak over what was held before, and seconds, of one blend written to disk."""
    names = tuple(sorted(path.name for path in folder.iterdir())[:terms])
    pool = open_pool(PoolSettings(path=str(folder), experts=names))
    weights = np.random.default_rng(0).dirichlet(np.ones(terms))
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        held, began = memory("VmRSS"), time.perf_counter()
        if way == "streamed":
            pool.blend(weights, "made").write(Path(out) / "made")
        else:
            checkpoints = [expert for expert in pool.experts if isinstance(expert, Checkpoint)]
            models = [
                dict(zip(stored, map(widened, stored.values()), strict=True))
                for stored in (one.parts[0][1].tensors for one in checkpoints)
            ]
            for name in models[0]:
                sum(weight * model[name] for weight, model in zip(weights, models, strict=True)).tofile(Path(out) / "x")
        return {"peak": memory("VmHWM") - held, "seconds": round(time.perf_counter() - began, 2)}


def widened(stored: shards.Stored) -> np.ndarray:
    """A whole tensor in float32."""
    return shards.widen(stored.whole(), stored.kind)


def memory(entry: str) -> int:
    """Bytes of VmRSS (resident now) or VmHWM (the most since the last reset) of this process (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(entry))) * 1024


if __name__ == "__main__":
    main()
