"""Completions by call key, in one SQLite file: no call is made twice.

A key is the SHA-256 of (engine, expert, prompt, sampling). Each row knows the step that made it, so that a step
resumed after a crash counts, and batches, exactly as if it had not been interrupted.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from threading import RLock
from typing import NamedTuple
from urllib.parse import quote

from hswarm import io
from hswarm.engines.base import Completion, Request
from hswarm.errors import RunError, StorageError

_ELSEWHERE = "another run"
_CHUNK = 500  # keys a query; SQLite's oldest limit on parameters is 999


class Entry(NamedTuple):
    """A kept completion and the step that made it."""

    completion: Completion
    step: str


def call_key(fingerprint: str, request: Request, salt: str = "") -> bytes:
    """The identity of a call; `salt` keeps equal calls apart where reuse is off."""
    whole = hashlib.sha256()
    options = json.dumps(request.options) if request.options else ""
    for part in (fingerprint, request.expert.digest, request.sampling.text(), request.prompt, salt + options):
        encoded = part.encode()
        whole.update(len(encoded).to_bytes(8) + encoded)
    return whole.digest()


class Cache:
    """Calls made so far. `path` None keeps them in memory.

    `shared` is a file that other runs add calls to as well. Calls found there are copied, marked as made elsewhere, so
    that a resumed step finds the same ones in `path`. `several` says that other processes use `path` at the same time,
    which takes a file system with locks. `reading` opens a `path` that is there, and writes nothing.
    """

    def __init__(
        self, path: Path | None = None, shared: Path | None = None, *, several: bool = False, reading: bool = False
    ) -> None:
        self._path = path
        self._lock = RLock()  # a commit of one thread would keep half of what another is adding
        self._shared = Cache(shared, several=True) if shared else None
        if path and reading:
            self._db = _opened_to_read(path)
            return
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _connected(path, several=several)
            self._db.execute("PRAGMA synchronous = FULL")  # what a checkpoint counts must be there after a power cut
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS calls (key BLOB PRIMARY KEY, text TEXT, finish TEXT, "
                "prompt_tokens INT, completion_tokens INT, step TEXT) WITHOUT ROWID"
            )
        except sqlite3.OperationalError as fault:  # a full disk, a read-only folder
            raise StorageError(f"the call cache {path} cannot be opened ({fault}); make room or give access") from fault
        except (sqlite3.Error, UnicodeDecodeError) as fault:  # a damaged schema is quoted in bytes
            raise _unreadable(path, fault) from fault

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """The entries of those `keys` that are in the cache."""
        found: dict[bytes, Entry] = {}
        for start in range(0, len(keys), _CHUNK):
            part = keys[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            question = (
                f"SELECT key, text, finish, prompt_tokens, completion_tokens, step FROM calls WHERE key IN ({marks})"
            )
            try:
                with self._lock:
                    rows = self._db.execute(question, part).fetchall()
            except (sqlite3.Error, UnicodeDecodeError) as fault:
                raise _unreadable(self._path, fault) from fault
            for key, text, finish, prompt, completion, step in rows:
                if not (
                    isinstance(text, str)
                    and finish in ("stop", "length")
                    and isinstance(prompt, int)
                    and isinstance(completion, int)
                ):
                    raise RunError(f"the call cache {self._path} has entries that hswarm did not write; delete it")
                found[key] = Entry(Completion(text, finish, prompt, completion), step)
        return found | self._from_shared([key for key in keys if key not in found])

    def _from_shared(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        found = self._shared.get(keys) if self._shared else {}
        if found:
            self._insert({key: entry.completion for key, entry in found.items()}, _ELSEWHERE)
        return {key: Entry(entry.completion, _ELSEWHERE) for key, entry in found.items()}

    def put(self, completions: Mapping[bytes, Completion], step: str) -> None:
        """Keep `completions`, all or none of them, except failed ones, which are asked again."""
        whole = {key: made for key, made in completions.items() if made.finish != "failed"}
        self._insert(whole, step)
        if self._shared:
            self._shared.put(whole, step)

    def _insert(self, completions: Mapping[bytes, Completion], step: str) -> None:
        rows = [
            (key, made.text, made.finish, made.prompt_tokens, made.completion_tokens, step)
            for key, made in completions.items()
        ]
        try:
            with self._lock, self._db:
                self._db.executemany("INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.Error as fault:
            raise _unwritable(fault) from fault

    def take(self, path: Path) -> None:
        """Take over the calls in the cache `path` of another run, as made elsewhere."""
        if not path.is_file():
            return
        with closing(_opened_to_read(path)) as other:
            try:
                rows = other.execute("SELECT key, text, finish, prompt_tokens, completion_tokens FROM calls").fetchall()
            except (sqlite3.Error, UnicodeDecodeError) as fault:
                raise _unreadable(path, fault) from fault
        try:
            with self._lock, self._db:
                values = [(*row, _ELSEWHERE) for row in rows]
                self._db.executemany("INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?, ?)", values)
        except sqlite3.Error as fault:
            raise _unwritable(fault) from fault

    def forget(self, iteration: int) -> None:
        """Drop the calls that iterations before `iteration` made; their room is used again."""
        try:
            with self._lock, self._db:
                self._db.execute("DELETE FROM calls WHERE step GLOB '[0-9]*' AND CAST(step AS INT) < ?", (iteration,))
        except sqlite3.Error as fault:
            raise _unwritable(fault) from fault

    def close(self) -> None:
        """Release the file."""
        if self._shared:
            self._shared.close()
        with self._lock:
            self._db.close()


def _connected(path: Path | None, *, several: bool) -> sqlite3.Connection:
    """The file, in WAL mode; without locks where its file system has none, for one process then."""
    locks = path is None or io.has_locks(path.parent)
    if several and not locks:
        raise StorageError(
            f"the call cache {path} is shared by several runs, and its file system has no locks; put it on a disk of "
            "this machine, or leave it out (search.cache, hswarm compare --no-share)"
        )
    where = f"file:{quote(str(path))}?vfs={'unix' if locks else 'unix-none'}" if path else ":memory:"
    found = sqlite3.connect(where, uri=path is not None, check_same_thread=False, timeout=60)
    if not locks:
        found.execute("PRAGMA locking_mode = EXCLUSIVE")  # WAL without a mapped file, which such systems lack too
    found.execute("PRAGMA journal_mode = WAL")
    return found


def _opened_to_read(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, check_same_thread=False, timeout=5)
    except sqlite3.Error as fault:
        raise _unreadable(path, fault) from fault


def _unreadable(path: Path | None, fault: Exception) -> RunError:
    return RunError(f"the call cache {path} cannot be read ({fault}); delete it to repeat its calls")


def _unwritable(fault: Exception) -> StorageError:
    return StorageError(f"the call cache cannot be written ({fault}); make room or give access, then resume the run")
