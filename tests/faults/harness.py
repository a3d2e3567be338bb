"""Runs `hswarm` as a user would, in processes of its own, and breaks it: kills, power cuts, faulty engines."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from hswarm.engines.toy import planted_weights

Result = tuple[bytes, dict[str, object], dict[str, bytes]]
HERE = Path(__file__).parent
SOURCE = HERE.parent.parent / "src"
KEY = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
RECIPE = """
name = "small"
[pool]
path = "pool"
[task]
name = "toy"
dev = 12
test = 30
options.toy.steps = 3
[engine]
name = "faulty"
batch = 9
[search]
graphs = 3
assignments = 3
method = "hswarm"
iterations = 4
patience = 4
"""


def make_recipe(folder: Path, experts: int = 3, **changes: str) -> Path:
    """A recipe with a pool of real adapters, for the plug-in engine; `changes` replaces texts in it."""
    config = {
        "peft_type": "LORA",
        "r": 1,
        "lora_alpha": 1,
        "target_modules": ["q_proj"],
        "bias": "none",
        "base_model_name_or_path": "tiny/base",
        "task_type": "CAUSAL_LM",
    }
    rng = np.random.default_rng(7)
    for i in range(experts):
        vector = planted_weights(8) + 0.9 * rng.choice([-1, 1], 8).astype(np.float32)
        vector[i] = planted_weights(8)[i]
        expert = folder / "pool" / f"step-{i}"
        expert.mkdir(parents=True)
        (expert / "adapter_config.json").write_text(json.dumps(config))
        factors = {KEY.format("A"): vector[None, :4].copy(), KEY.format("B"): vector[4:, None].copy()}
        save_file(factors, expert / "adapter_model.safetensors", {"format": "pt"})
    (folder / "recipe.toml").write_text(RECIPE)
    return folder / "recipe.toml"


def start(*words: object, faults: Mapping[str, object] | None = None, **environment: object) -> subprocess.Popen[str]:
    """`hswarm words`, started, with the plug-in engine on its path."""
    path = os.pathsep.join([str(SOURCE), str(HERE / "plugin")])
    values = {name: str(value) for name, value in environment.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "hswarm.cli.main", *map(str, words)],
        text=True,
        env=os.environ | {"PYTHONPATH": path, "FAULTS": json.dumps(faults or {})} | values,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def begun(path: Path, lines: int = 1) -> None:
    """Wait until the run at `path` has so many lines of history."""
    for _ in range(3000):
        if (path / "history.jsonl").exists() and (path / "history.jsonl").read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} did not get so far")


def run(
    *words: object, faults: Mapping[str, object] | None = None, seconds: float = 120, **environment: object
) -> tuple[int, str, str]:
    """Exit status, standard output and error of `hswarm words`."""
    process = start(*words, faults=faults, **environment)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


def result(path: Path) -> Result:
    """What must be equal between equal runs: history, report less times, best system, trail and answers."""
    report = json.loads((path / "report.json").read_text())
    del report["wall_s"]
    kept = [*sorted((path / "best").rglob("*")), *sorted((path / "trail").iterdir()), path / "answers.jsonl"]
    best = {str(f.relative_to(path)): f.read_bytes() for f in kept if f.is_file()}
    leftovers = {entry.name for entry in path.iterdir()} - {
        "config.toml",
        "history.jsonl",
        "state",
        "cache.sqlite",
        "best",
        "trail",
        "answers.jsonl",
        "report.json",
        "lock",
        "cache.sqlite-wal",
        "cache.sqlite-shm",
    }
    assert not leftovers, leftovers
    return (path / "history.jsonl").read_bytes(), report, best


def go_on(recipe: Path, path: Path) -> tuple[object, ...]:
    """The words that continue the run at `path`: a run that was stopped before it was one is begun again."""
    return ("resume", path) if (path / "config.toml").is_file() else ("search", recipe, "--run", path)


def phase(path: Path) -> str:
    """What a killed search was doing, by what lies in its folder."""
    if not (path / "config.toml").is_file():
        return "before the run"
    if (path / "report.json").is_file():
        return "after the report"
    if (path / "state" / "state.safetensors.new").exists():
        return "state write"
    if (path / "best.new").exists() or (path / "best.old").exists():
        return "best write"
    return "generation and scoring" if (path / "state" / "state.safetensors").exists() else "experts alone"


@dataclass
class Disk:
    """The preloaded library that kills at a change of files, and the disk as a power cut would leave it."""

    folder: Path
    library: Path = field(init=False)

    def __post_init__(self) -> None:
        self.library = self.folder / "disk.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.library, HERE / "disk.c", "-ldl"], check=True)

    def environment(self, kill: int = -1, skip: str = "") -> dict[str, Any]:
        """For `start`: dies at change number `kill` of what lies in folder/runs."""
        (self.folder / "shadow").mkdir(exist_ok=True)
        (self.folder / "runs").mkdir(exist_ok=True)
        return {
            "LD_PRELOAD": self.library,
            "FAULT_DIR": self.folder / "runs",
            "FAULT_KILL": kill,
            "FAULT_SHADOW": self.folder / "shadow",
            "FAULT_COUNT": self.folder / "count",
        } | ({"FAULT_SKIP": skip} if skip else {})

    @property
    def changes(self) -> int:
        """How many changes the last process made that ended by itself."""
        return int((self.folder / "count").read_text())

    def clear(self) -> None:
        """Nothing has run yet."""
        for name in ("runs", "shadow"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def cut_power(self, rng: random.Random | None = None) -> None:
        """Leave in folder/runs only what was synced; with `rng`, of each file's later writes a random part."""
        root, after = self.folder / "runs", self.folder / "after"
        shutil.rmtree(after, ignore_errors=True)
        after.mkdir()
        if rng is None:
            self._rebuild(root.stat().st_ino, after)
        else:
            shutil.copytree(root, after, dirs_exist_ok=True)
            for path in sorted(after.rglob("*")):
                self._tear(path, (root / path.relative_to(after)).stat(), rng)
        shutil.rmtree(root)
        after.rename(root)
        shutil.rmtree(self.folder / "shadow")
        (self.folder / "shadow").mkdir()
        for path in (root, *root.rglob("*")):  # what the power cut left is on the disk
            self._mark(path)

    def _mark(self, path: Path) -> None:
        kept = self.folder / "shadow" / str(path.stat().st_ino)
        if path.is_dir():
            kept.write_text("".join(f"{p.name} {p.stat().st_ino} {4 if p.is_dir() else 8}\n" for p in path.iterdir()))
        else:
            kept.write_bytes(path.read_bytes())

    def _rebuild(self, inode: int, target: Path) -> None:
        listing = self.folder / "shadow" / str(inode)
        for line in listing.read_text().splitlines() if listing.exists() else ():
            name, child, kind = line.rsplit(" ", 2)
            if kind == "4":
                (target / name).mkdir()
                self._rebuild(int(child), target / name)
            else:
                kept = self.folder / "shadow" / child
                (target / name).write_bytes(kept.read_bytes() if kept.exists() else b"")

    def _tear(self, path: Path, found: os.stat_result, rng: random.Random) -> None:
        if not path.is_file() or path.name.endswith("-shm"):
            return
        kept, now = self.folder / "shadow" / str(found.st_ino), path.read_bytes()
        safe = kept.read_bytes() if kept.exists() else b""
        if now.startswith(safe):
            path.write_bytes(now[: rng.randint(len(safe), len(now))])


def kill_after(process: subprocess.Popen[str], seconds: float) -> bool:
    """kill -9 after `seconds`; whether the process was still there."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    return process.returncode == -9


def timed(*words: object, **options: object) -> float:
    """Seconds that `run` of a command takes that must succeed."""
    began = time.monotonic()
    status, _, err = run(*words, **options)  # type: ignore[arg-type]
    assert status == 0, err
    return time.monotonic() - began
