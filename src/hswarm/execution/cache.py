"""Completions by call key, in one SQLite file: a call that was made is never made again.

A key is the SHA-256 of (engine, expert, prompt, sampling). Each row knows the step that made it, so that a step
resumed after a crash counts, and batches, exactly as if it had not been interrupted.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hswarm.engines.base import Completion, Request
from hswarm.errors import RunError

_CHUNK = 500  # keys a query; SQLite's oldest limit on parameters is 999


class Entry(NamedTuple):
    """A kept completion and the step that made it."""

    completion: Completion
    step: str


def call_key(fingerprint: str, request: Request, salt: str = "") -> bytes:
    """The identity of a call; `salt` keeps equal calls apart where reuse is off."""
    whole = hashlib.sha256()
    for part in (fingerprint, request.expert.digest, request.sampling.text(), request.prompt, salt):
        encoded = part.encode()
        whole.update(len(encoded).to_bytes(8) + encoded)
    return whole.digest()


class Cache:
    """Calls made so far. `path` None keeps them in memory."""

    def __init__(self, path: Path | None = None) -> None:
        try:
            self._db = sqlite3.connect(path or ":memory:", check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS calls (key BLOB PRIMARY KEY, text TEXT, finish TEXT, "
                "prompt_tokens INT, completion_tokens INT, step TEXT) WITHOUT ROWID"
            )
        except sqlite3.DatabaseError as fault:
            raise RunError(
                f"the call cache {path} cannot be read ({fault}); delete it to make its calls anew"
            ) from fault

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """Entries of those `keys` that are there."""
        found: dict[bytes, Entry] = {}
        for start in range(0, len(keys), _CHUNK):
            part = keys[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            for key, text, finish, prompt, completion, step in self._db.execute(
                f"SELECT key, text, finish, prompt_tokens, completion_tokens, step FROM calls WHERE key IN ({marks})",
                part,
            ):
                found[key] = Entry(Completion(text, finish, prompt, completion), step)
        return found

    def put(self, completions: Mapping[bytes, Completion], step: str) -> None:
        """Keep `completions`, all or none of them."""
        rows = [
            (key, made.text, made.finish, made.prompt_tokens, made.completion_tokens, step)
            for key, made in completions.items()
        ]
        with self._db:
            self._db.executemany("INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Release the file."""
        self._db.close()
