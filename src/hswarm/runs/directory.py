"""A run's directory: checkpoint, log and deliverable in one.

config.toml      the recipe, defaults written out
history.jsonl    one line an iteration; no times in it, so that equal runs have equal bytes
state/           the checkpoint after the last whole iteration
trail/           where the swarms stood, a file an iteration
cache.sqlite     every call made
best/            the best system so far, complete (execution/system.py)
answers.jsonl    what the system found and every expert alone made of each dev question
report.json      written last: a run that has one is finished
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from hswarm import io
from hswarm.config.recipe import Recipe, read_recipe
from hswarm.errors import RunError
from hswarm.io import Array
from hswarm.records import checked
from hswarm.runs.schema import Report
from hswarm.session.checkpoint import S
from hswarm.session.records import HistoryEntry, State
from hswarm.system.load import load
from hswarm.system.system import System


@dataclass
class Run:
    """An open run. Hold it in a `with` block: it is locked against a second process meanwhile."""

    path: Path
    recipe: Recipe
    _lock: Any = field(default=None, repr=False)

    @classmethod
    def create(cls, path: Path, recipe: Recipe) -> Run:
        """A new run in `path`, which must not exist or be empty."""
        cls.check_new(path)
        try:
            io.write_text(path / "config.toml", recipe.to_toml())
            io.sync(path.parent)
        except OSError as fault:
            raise RunError(f"no run can be written at {path}: {fault.strerror}") from fault
        return cls(path, recipe)

    @staticmethod
    def check_new(path: Path) -> None:
        """RunError if something is at `path` already."""
        if path.exists() and (not path.is_dir() or {entry.name for entry in path.iterdir()} - {"config.toml.new"}):
            remedy = f"hswarm resume {path}" if (path / "config.toml").is_file() else "remove it"
            raise RunError(f"{path} exists; name another folder (--run), or: {remedy}")

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """The run in `path`, finished or not."""
        path = Path(path)
        if not (path / "config.toml").is_file():
            raise RunError(f"no run at {path}: config.toml is missing{io.what_is(path)}")
        if links := [entry for entry in path.rglob("*") if entry.is_symlink()]:
            raise RunError(f"{links[0]} is a link; a run holds its own files only, put the file itself there")
        return cls(path, read_recipe(path / "config.toml"))

    @property
    def finished(self) -> bool:
        return (self.path / "report.json").is_file()

    @property
    def worker(self) -> str:
        """The process that works on the run ("process 7 on host"), "" if none does."""
        try:
            holder = (self.path / "lock").read_text(encoding="utf-8")
            number, host = re.fullmatch(r"process (\d+) on (.+)", holder).groups()  # type: ignore[union-attr]
        except (OSError, ValueError, AttributeError):
            return ""
        return holder if host != socket.gethostname() or _lives(int(number)) else ""

    @property
    def state(self) -> str:
        """finished, running or interrupted."""
        return "finished" if self.finished else "running" if self.worker else "interrupted"

    @property
    def report(self) -> Report:
        """What report.json holds; RunError while the run is unfinished."""
        path = self.path / "report.json"
        return checked(io.read_json(path, "a finished run (its report)"), Report, path)

    def write_report(self, report: Report) -> None:
        """Write report.json: the run is finished."""
        io.write_text(self.path / "report.json", json.dumps(report.content(), indent=2) + "\n")

    @property
    def best(self) -> System:
        """The best system found so far."""
        return load(self.path / "best")

    def _repr_html_(self) -> str:
        """For notebooks: the scores and the system found, or how far the search is."""
        title = f"<p><b>{escape(self.recipe.name)}</b> ({escape(str(self.path))})</p>"
        if not self.finished:
            return f"{title}<p>unfinished, {len(self.history())} iterations so far</p>"
        report = self.report
        lines = [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in report.rows]
        head = f"<tr><th>{escape(report.task)}</th><th>dev</th><th>test</th></tr>"
        return f"{title}<table>{head}{''.join(lines)}</table>{self.best._repr_html_()}"

    def __enter__(self) -> Run:
        self._lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            if fault.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                print(
                    f"warning: {self.path} cannot be locked ({fault.strerror}); use it once at a time", file=sys.stderr
                )
                return self._held()
            self._lock.seek(0)
            holder = self._lock.read().strip() or "another process"
            self._lock.close()
            raise RunError(f"{self.path} is in use by {holder}; wait for it or stop it") from fault
        return self._held()

    def _held(self) -> Run:
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        self._lock.flush()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.truncate(0)  # `worker` is read from it
        self._lock.close()

    def append(self, entry: HistoryEntry) -> None:
        """Add a line to the history."""
        with (self.path / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry.content()) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def history(self) -> list[HistoryEntry]:
        """The whole lines of the history. RunError if it is damaged, or a finished run's is cut short or missing."""
        path = self.path / "history.jsonl"
        try:
            lines = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
        except FileNotFoundError:
            lines = []
        except (ValueError, RecursionError) as fault:
            raise RunError(f"{path} is damaged: {fault}; restore it from a copy") from fault
        if self.finished and len(lines) < self.report.iterations:
            held = f"{len(lines)} of {self.report.iterations} iterations" if lines else "no iterations, or is missing"
            raise RunError(f"{path} holds {held}; restore it from a copy")
        return [checked(line, HistoryEntry, f"{path}, line {i + 1},") for i, line in enumerate(lines)]

    def rewind(self, lines: int) -> None:
        """Cut the history to `lines`, those that the checkpoint knows of."""
        path = self.path / "history.jsonl"
        content = path.read_bytes() if path.exists() else b""
        kept = content.split(b"\n")[:lines]
        if len(kept) < lines:
            raise RunError(f"{path} has {len(kept)} lines, the checkpoint knows of {lines}; restore it from a copy")
        io.write_bytes(path, b"".join(line + b"\n" for line in kept))

    def save_state(self, tensors: Mapping[str, Array], state: State) -> None:
        """Replace the checkpoint."""
        told = {"state": json.dumps(state.model_dump())}
        io.write_tensors(self.path / "state" / "state.safetensors", tensors, told)

    def clean_up(self) -> None:
        """Remove what a finished run is not needed for any more: the checkpoint and the calls."""
        shutil.rmtree(self.path / "state", ignore_errors=True)
        for file in self.path.glob("cache.sqlite*"):
            file.unlink()

    def save_places(self, iteration: int, tensors: Mapping[str, Array]) -> None:
        """Keep where the swarms of a checkpoint's `tensors` stand, in float32."""
        places = {
            key.removesuffix(".positions"): value.astype(np.float32)
            for key, value in tensors.items()
            if key.endswith(".positions")
        }
        io.write_tensors(self.path / "trail" / f"{iteration:04d}.safetensors", places)
        io.sync(self.path)  # the folder's own name

    def places(self) -> list[dict[str, Array]]:
        """Positions by swarm ("role", "weight0" ...), shape (particles, numbers), of each iteration in the history."""
        paths = [self.path / "trail" / f"{entry.iteration:04d}.safetensors" for entry in self.history()]
        return [io.read_tensors(path) for path in paths if path.is_file()]

    def load_state(self, form: type[S]) -> tuple[dict[str, Array], S] | None:
        """The checkpoint, its state as a `form`, or None if there is none yet."""
        path = self.path / "state" / "state.safetensors"
        if not path.exists():
            return None
        tensors = io.read_tensors(path)
        try:
            with path.open("rb") as file:
                header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            state = json.loads(header["__metadata__"]["state"])
        except (LookupError, TypeError, ValueError, RecursionError) as fault:
            raise RunError(f"{path} is not a checkpoint as hswarm writes it: {fault!r}") from fault
        return tensors, checked(state, form, path)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, alive
        return True
    return True
