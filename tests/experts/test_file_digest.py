"""A large file is read once for its SHA-256, and again when it has changed."""

import hashlib
import os
from pathlib import Path

import pytest

from hswarm.experts import file_digest as room
from hswarm.experts.file_digest import file_digest


def test_a_large_file_is_read_again_only_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(room, "_SETTLED_S", -1)
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"a" * 2**20)
    first = file_digest(path)
    assert first == hashlib.sha256(b"a" * 2**20).digest()
    with monkeypatch.context() as context:
        context.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
        assert file_digest(path) == first
    old = path.stat()
    path.write_bytes(b"b" * 2**20)
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))  # as a copy that keeps times
    assert file_digest(path) == hashlib.sha256(b"b" * 2**20).digest()


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "model").write_bytes(b"a" * 2**20)
    file_digest(tmp_path / "model")
    assert not (tmp_path / "cache").exists()
