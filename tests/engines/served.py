"""A server in a process of its own, on a port of its own, to be killed and started again."""

import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HSWARM = [sys.executable, "-m", "hswarm.cli.main"]


class Server:
    """A `command` that takes --port and then answers at /health."""

    def __init__(self, *command: object) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._process: subprocess.Popen[bytes] | None = None
        self._command = [*map(str, command), "--port", str(self.port)]

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 240
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return
            except OSError:
                assert self._process.poll() is None
                time.sleep(0.1)
        raise AssertionError("the server does not start")

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


def kept(path: Path) -> int:
    """How many calls a run has kept."""
    try:
        with sqlite3.connect(path / "cache.sqlite") as database:
            return int(database.execute("SELECT count(*) FROM calls").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
