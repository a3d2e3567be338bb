"""Tools by themselves: what they make of a text, and what they refuse."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hswarm.engines.base import Request, Sampling
from hswarm.engines.tools import ToolEngine
from hswarm.errors import ConfigError, ConsentError, PoolError
from hswarm.experts.tool import ToolExpert, ToolSettings
from hswarm.tools.calculator import calculator


def reply(settings: ToolSettings, text: str) -> str:
    (made,) = ToolEngine().generate([Request(ToolExpert(settings), text, Sampling())])
    assert made.finish == "stop"
    return made.text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("983 - 385", "598"),
        ("The answer is 12*3.", "36"),
        ("1,234 + 1 =", "1235"),
        ("12 \xd7 34", "408"),
        ("3 x 4", "12"),
        ("1 + 2\nno, 3 * (4 - 1)", "9"),
        ("0.1 + 0.2", "0.3"),
        ("7 / 3", "2.33333333333"),
        ("2^10", "1024"),
        ("007 + 3", "10"),
        ("It is 42.", "42"),
    ],
)
def test_calculator(text: str, value: str) -> None:
    assert calculator(text) == value


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("no numbers", "no calculation"),
        ("__import__('os').system('true')", "no calculation"),
        ("1 / 0", "division by zero"),
        ("9^9^9^9", "too large"),
        ("9" * 400 + " * 9", "too large"),
        ("1+" * 600 + "1", "at most 1000 characters"),
        ("(-8) ^ 0.5", "no value"),
        ("2(3)", "only numbers"),
    ],
)
def test_calculator_refuses(text: str, word: str) -> None:
    began = time.monotonic()
    said = reply(ToolSettings("calculator"), text)
    assert said.startswith("error: ")
    assert word in said
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```python\nx = 6\nx * 7\n```", "42"),
        ("print(1)\nprint(2)", "1\n2"),
        ("print(1); 3", "1\n3"),
        ("What is it?", "error: there is no Python program in the text"),
        ("1 / 0", "error: ZeroDivisionError: division by zero"),
        ("x = 1", "error: the program prints nothing"),
        ("while True: pass", "error: the program took longer than 2 s"),
        ("while True: print('x' * 1000)", "error: "),
        ("import socket\nsocket.create_connection(('127.0.0.1', 1))", "error: "),
        ("import os\nprint(sorted(os.environ))", "['HOME', 'LC_CTYPE']"),
    ],
)
def test_python(text: str, said: str) -> None:
    assert reply(ToolSettings("python", timeout_s=2), text).startswith(said)


def test_python_needs_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSWARM_ALLOW", "")
    with pytest.raises(ConsentError, match="--allow 'code'"):
        ToolEngine().check([ToolExpert(ToolSettings("python"))])


def test_retrieval(tmp_path: Path) -> None:
    file = tmp_path / "facts.txt"
    file.write_text("The crow is\nblack.\n\nThe whale swims.\n\nThe ant runs, and the fox runs.\n")
    settings = ToolSettings("facts", tool="retrieval", files=(str(file),))
    assert reply(settings, "What does the WHALE do?") == "The whale swims."
    assert reply(settings, "crow?") == "The crow is black."
    assert reply(settings, "zebra") == "error: no passage has a word of the text"
    two = ToolSettings("facts", tool="retrieval", files=(str(file),), options={"top": 2})
    assert reply(two, "runs swims") == "The ant runs, and the fox runs.\nThe whale swims."


def test_retrieval_by_what_the_files_hold(tmp_path: Path) -> None:
    file = tmp_path / "facts.txt"
    settings = ToolSettings("facts", tool="retrieval", files=(str(file),))
    with pytest.raises(PoolError, match="cannot be read"):
        ToolExpert(settings)
    file.write_text("one")
    first = ToolExpert(settings).digest
    file.write_text("two")
    assert ToolExpert(settings).digest != first
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read as text"):
        ToolEngine().check([ToolExpert(settings)])


def test_python_of_ones_own() -> None:
    settings = ToolSettings("mine", tool="tests.tools.parts:zor")
    assert reply(settings, "zor on red cat sings loudly here").startswith("red cat ")
    assert reply(settings, "tav on red cat sings loudly here") == "error: the next skill is not zor"
    assert reply(ToolSettings("mine", tool="tests.tools.parts:number"), "x") == "error: the tool gave int, not a text"
    with pytest.raises(ConsentError, match="--allow 'os:system'"):
        ToolEngine().check([ToolExpert(ToolSettings("bad", tool="os:system"))])


def test_what_takes_too_long_or_is_too_long_is_cut_off() -> None:
    began = time.monotonic()
    expert = ToolExpert(ToolSettings("slow", tool="tests.tools.parts:slow", timeout_s=0.5))
    made = ToolEngine().generate([Request(expert, text, Sampling()) for text in ("30", "0", "30")])
    assert [one.text for one in made] == ["error: no reply in 0.5 s", "done", "error: no reply in 0.5 s"]
    assert time.monotonic() - began < 10
    long = ToolExpert(ToolSettings("python", longest=10))
    (cut,) = ToolEngine().generate([Request(long, "print('x' * 99)", Sampling())])
    assert (cut.text, cut.finish) == ("x" * 10, "length")


def test_a_tool_that_hangs_again_and_again_is_not_called_any_more_until_it_has_ended() -> None:
    expert = ToolExpert(ToolSettings("slow", tool="tests.tools.parts:slow", timeout_s=0.1))
    other = ToolExpert(ToolSettings("calculator"))
    engine, before = ToolEngine(), threading.active_count()
    made = engine.generate([Request(expert, "5", Sampling()) for _ in range(40)])
    assert [(one.finish, one.text) for one in made[:8]] == [("stop", "error: no reply in 0.1 s")] * 8
    assert [one.finish for one in made[8:]] == ["failed"] * 32
    assert threading.active_count() <= before + 8
    assert "tool 'slow': 8 calls still run past its limit of 0.1 s, so no more are begun" in engine.fault
    assert engine.generate([Request(other, "1 + 1", Sampling())])[0].text == "2"
    end = time.monotonic() + 60
    while threading.active_count() > before:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert engine.generate([Request(expert, "0", Sampling())])[0].text == "done"


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (ToolSettings("calculater"), "did you mean 'calculator'"),
        (ToolSettings("calculator", files=(__file__,)), "reads no files"),
        (ToolSettings("calculator", options={"digits": 3}), "pool.tools 'calculator': options.digits'"),
        (ToolSettings("retrieval"), "needs files"),
        (ToolSettings("http"), "options.url is missing"),
        (ToolSettings("http", options={"url": "ftp://x"}), "url must be like"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_call(settings: ToolSettings, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        ToolEngine().check([ToolExpert(settings)])


class Handler(BaseHTTPRequestHandler):
    """Shouts; and misbehaves as the text says."""

    asked: list[tuple[str, str]] = []  # noqa: RUF012  of the class, which the server makes anew for each request

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
        self.asked.append((text, self.headers.get("Authorization", "")))
        status = int(text) if text.isdecimal() else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(b"x" * (2 << 20) if text == "much" else json.dumps({"text": text.upper()}).encode())

    do_GET = do_POST

    def log_message(self, format: str, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    Handler.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}/shout"
    server.shutdown()
    server.server_close()


def test_http(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSWARM_TEST_KEY", "secret")
    settings = ToolSettings("shout", tool="http", options={"url": url, "key": "HSWARM_TEST_KEY"})
    assert reply(settings, "hello") == "HELLO"
    assert Handler.asked == [("hello", "Bearer secret")]
    assert reply(settings, "400") == "error: the server refuses the text (status 400)"
    assert reply(settings, "302") == "error: the server refuses the text (status 302)"  # nothing was sent on
    assert [text for text, _ in Handler.asked] == ["hello", "400", "302"]
    assert reply(settings, "much") == "error: the reply has more than 1 MiB"


def test_http_that_does_not_answer_is_a_failed_call(url: str) -> None:
    engine, expert = ToolEngine(), ToolExpert(ToolSettings("shout", tool="http", options={"url": url}))
    made = engine.generate([Request(expert, text, Sampling()) for text in ("503", "hello")])
    assert [(one.text, one.finish) for one in made] == [("", "failed"), ("HELLO", "stop")]
    assert "tool 'shout'" in engine.fault
    assert "status 503" in engine.fault


def test_http_needs_consent_for_address_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSWARM_ALLOW", "http://127.0.0.1")
    monkeypatch.setenv("HSWARM_TEST_KEY", "secret")
    for options, word in (
        ({"url": "https://example.org/x"}, "connect to https://example.org/x"),
        ({"url": "http://127.0.0.1:1/", "key": "HSWARM_TEST_KEY"}, "HSWARM_TEST_KEY"),
    ):
        with pytest.raises(ConsentError, match=word):
            ToolEngine().check([ToolExpert(ToolSettings("far", tool="http", options=options))])
