"""SHA-256 of a large file, remembered by its path, size, times and inode, so that no start reads gigabytes."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from pathlib import Path

from hswarm import io
from hswarm.experts.base import cache_folder

_SMALL = 2**20  # bytes below which reading is as fast as remembering
_SETTLED_S = 2.0  # a file changed less long ago may change again within one tick of its times


def file_digest(path: Path) -> bytes:
    """SHA-256 of the content of `path`."""
    found = path.stat()
    known = f"{path.resolve()} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"
    note = cache_folder().parent / "digests" / hashlib.sha256(known.encode()).hexdigest()
    if found.st_size >= _SMALL:
        with suppress(OSError, ValueError):
            if len(digest := bytes.fromhex(note.read_text())) == hashlib.sha256().digest_size:
                return digest
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    if found.st_size >= _SMALL and time.time() - max(found.st_mtime, found.st_ctime) > _SETTLED_S:
        with suppress(OSError):  # a cache that cannot be written costs time, no more
            io.write_text(note, digest.hex())
    return digest
