"""Connections that rest, drip or do not read: they hold up nobody, are closed in time and fill no log."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import hswarm
from hswarm.config.recipe import Recipe
from hswarm.system.system import System
from tests.server.serving import ANSWER, QUESTION, serving

pytest.importorskip("uvicorn")


def healthy(address: str) -> bool:
    with urllib.request.urlopen(f"{address}/health", timeout=5) as reply:
        return bool(json.loads(reply.read())["status"] == "ok")


@contextlib.contextmanager
def silent(address: str, count: int) -> Iterator[list[socket.socket]]:
    place = address.removeprefix("http://").split(":")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection((place[0], int(place[1])), 5)) for _ in range(count)]


def ended(connection: socket.socket, seconds: float) -> bool:
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_packets_are_not_held_back(systems: dict[str, System]) -> None:
    """The second question over one connection: 40 ms of delay would show in every one."""
    from http.client import HTTPConnection

    body = json.dumps({"model": "toy", "messages": [{"role": "user", "content": QUESTION}]})
    with serving(systems) as address:
        connection = HTTPConnection(address.removeprefix("http://"))
        times = []
        for _ in range(20):
            began = time.perf_counter()
            connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
            assert ANSWER in connection.getresponse().read().decode()
            times.append(time.perf_counter() - began)
        connection.close()
    assert min(times) < 0.03


def test_silent_and_dripping_heads_are_closed(systems: dict[str, System]) -> None:
    from hswarm.server.listener import Patience

    with serving(systems, patience=Patience(head=0.5, rest=1)) as address, silent(address, 8) as connections:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            for connection in connections[:4]:
                with contextlib.suppress(OSError):
                    connection.send(b"G")
            time.sleep(0.1)
        assert all(ended(connection, 5) for connection in connections)
        assert healthy(address)


def test_a_dripping_body_is_answered_408(systems: dict[str, System], monkeypatch: pytest.MonkeyPatch) -> None:
    from hswarm.server.middleware import Door

    monkeypatch.setattr(Door, "patience", 0.5)
    monkeypatch.setattr(Door.__init__, "__defaults__", (0.5,))
    with serving(systems) as address, silent(address, 1) as (connection,):
        connection.send(b"POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{")
        connection.settimeout(5)
        reply = connection.recv(65536)
        assert reply.startswith(b"HTTP/1.1 408 ")
        assert ended(connection, 5)


def test_one_who_rests_makes_room_for_one_who_asks(systems: dict[str, System]) -> None:
    with serving(systems, most=5) as address, silent(address, 40):
        for _ in range(10):
            assert healthy(address)


def test_few_files_many_silent_connections_and_a_quiet_log(toy_recipe: Recipe, tmp_path: Path) -> None:
    run = hswarm.search(toy_recipe, tmp_path / "run")
    words = f"ulimit -n 40; exec {sys.executable} -m hswarm.cli.main serve {run.path} --port 0"
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(["sh", "-c", words], stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ)
        try:
            assert server.stdout
            address = re.findall(r"page (http://[\d.:]+)/", server.stdout.readline())[0]
            with silent(address, 60):
                for _ in range(5):
                    assert healthy(address)
                    time.sleep(0.2)
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0
            assert server.stdout
            server.stdout.close()
    assert (tmp_path / "log").stat().st_size < 1000
