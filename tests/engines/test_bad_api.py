"""APIs that misbehave, over real connections: what is retried, what counts as failed, what ends a run and is resumed."""

import asyncio
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hswarm.config.recipe import Recipe, build_recipe
from hswarm.engines import open_engine
from hswarm.engines.base import Completion, Engine, EngineSettings, Request, Sampling
from hswarm.engines.openai import OpenAIEngine
from hswarm.engines.toy import ToyEngine, toy_pool
from hswarm.errors import EngineError
from hswarm.experiments.search import resume, search
from hswarm.experts.remote import RemoteExpert, RemoteSettings
from tests.known import of_kind, score

pytest.importorskip("openai")
TOY = {f"step-{i}": expert for i, expert in enumerate(toy_pool(2).experts)}
DEEP = "[" * 100_000


def completion(text: Any) -> Any:
    return json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        }
    )


def rated(prompt: str, count: int) -> str:
    """What a judge says that goes by the letter, and at first not in the form that was asked for."""
    right, said = prompt.split("Right answer: ")[1].split("\n\n")[0], prompt.split("<<<\n")[1].split("\n>>>")[0]
    if "Rating:" in prompt and len(said) % 2:
        return "It is hard to say."
    return "I would say\nRating: 10" if said == right else "2/10"


class Api(ThreadingHTTPServer):
    """Answers "fine", or what the toy engine says; `fault(prompt, count, model)` names how it fails when so often asked."""

    daemon_threads, request_queue_size = True, 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault: Callable[[str, int, str], str] = lambda prompt, count, model: ""
        self.said, self.asked = "{}", Counter[str]()
        self._toy, self._lock = ToyEngine(EngineSettings("toy")), threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""

    def count(self, prompt: str) -> int:
        with self._lock:
            self.asked[prompt] += 1
            return self.asked[prompt]

    def reply(self, model: str, prompt: str) -> str:
        if model == "judge":
            return rated(prompt, self.asked[prompt])
        if model not in TOY:
            return "fine"
        with self._lock:
            return self._toy.generate([Request(TOY[model], prompt, Sampling())])[0].text


class Handler(BaseHTTPRequestHandler):
    server: Api

    def log_message(self, *words: Any) -> None:
        pass

    def do_POST(self) -> Any:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = asked["messages"][0]["content"]
        fault = self.server.fault(prompt, self.server.count(prompt), asked["model"])
        whole = completion(self.server.reply(asked["model"], prompt))
        if fault == "slow":
            time.sleep(3)
        elif fault == "half":
            return self._send(200, whole[: len(whole) // 2], len(whole))
        elif fault == "cut":
            return self._send(200, whole[: len(whole) // 2])
        elif fault == "mute":
            return None  # the connection ends without a word
        elif fault.isdigit():
            return self._send(int(fault), self.server.said)
        elif fault == "later":
            return self._send(429, "{}", retry_after="1")
        elif fault in WRONG:
            return self._send(200, *WRONG[fault])
        return self._send(200, whole)

    def _send(
        self, status: Any, text: Any, length: Any = None, kind: str = "application/json", retry_after: Any = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length or len(text.encode())))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(text.encode())


WRONG = {
    "page": ("<html>Bad gateway</html>", None, "text/html"),
    "list": ("[]",),
    "null": ("null",),
    "number": ("7",),
    "no-choices": ('{"choices": []}',),
    "no-message": ('{"choices": [{"finish_reason": "stop"}]}',),
    "parts": (completion([{"type": "text"}]),),
    "deep": (DEEP,),
    "empty": ("",),
}
BROKEN = ("500", "half", "mute", "cut", *WRONG)  # of one call
AWAY = ("429", "later", "503")  # of the server


@contextmanager
def serving() -> Iterator[Api]:
    """A server that answers, in a thread of its own."""
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as server:
        yield server


def ask(url: str, prompts: Sequence[str], **more: Any) -> tuple[list[str], Engine]:
    expert = RemoteExpert(RemoteSettings("far", "m", url, concurrency=50, **{"attempts": 2} | more))
    engine = open_engine(EngineSettings(), "openai")
    return [
        reply.text if reply.finish == "stop" else reply.finish
        for reply in engine.generate([Request(expert, prompt, Sampling()) for prompt in prompts])
    ], engine


def test_what_breaks_once_is_asked_again(api: Api) -> None:
    api.fault = lambda prompt, count, model: prompt if count == 1 else ""
    faults = [*BROKEN, *AWAY]
    began = time.monotonic()
    assert ask(api.url, faults)[0] == ["fine"] * len(faults)
    assert time.monotonic() - began >= 1  # as Retry-After says
    assert dict(api.asked) == dict.fromkeys(faults, 2)


def test_a_late_reply_is_asked_for_again_and_then_failed(api: Api) -> None:
    api.fault = lambda prompt, count, model: "slow" if count <= int(prompt) else ""
    replies, engine = ask(api.url, ["1", "2"], timeout_s=2)
    assert replies == ["fine", "failed"]
    assert of_kind(OpenAIEngine, engine).fault.endswith("no reply in time")


def test_what_stays_broken_is_failed_and_others_are_answered(api: Api) -> None:
    api.fault = lambda prompt, *_: prompt
    replies, engine = ask(api.url, [*BROKEN, "good", "400"])
    assert replies == ["failed"] * len(BROKEN) + ["fine", "failed"]
    assert f"'m' at {api.url}" in of_kind(OpenAIEngine, engine).fault
    assert api.asked["400"] == 1  # asking again would not help
    assert all(api.asked[fault] == 2 for fault in BROKEN)


@pytest.mark.parametrize("form", ['{"error": {"message": "%s"}}', '{"detail": "%s"}', '{"error": "%s"}'])
def test_what_a_server_says_of_its_refusal_is_shown_without_the_key(
    api: Api, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("HSWARM_TEST_KEY", "sk-secret")
    api.fault, api.said = lambda prompt, *_: prompt, form % "Pinned to 'a',\\nnot 'm' with sk-secret"
    replies, engine = ask(api.url, ["400"], key="HSWARM_TEST_KEY")
    assert replies == ["failed"]
    assert of_kind(OpenAIEngine, engine).fault.endswith("status 400: Pinned to 'a', not 'm' with ...")
    with pytest.raises(EngineError, match=r"status 503: Pinned to 'a', not 'm' with \.\.\., 2 attempts"):
        ask(api.url, ["503"], key="HSWARM_TEST_KEY")


@pytest.mark.parametrize(("fault", "said"), [("429", "status 429"), ("503", "status 503")])
def test_a_server_that_is_away_ends_the_step(api: Api, fault: str, said: str) -> None:
    api.fault = lambda prompt, *_: fault
    with pytest.raises(EngineError, match=f"cannot be reached \\({said}, 2 attempts\\)"):
        ask(api.url, ["x"])


def test_a_pace_is_kept_from_wave_to_wave(api: Api) -> None:
    began = time.monotonic()
    for prompt in ("x", "y"):
        assert ask(api.url, [prompt], per_minute=20)[0] == ["fine"]
    assert time.monotonic() - began >= 60 / 20


def test_nobody_there(api: Api) -> None:
    with pytest.raises(EngineError, match=r"cannot be reached \(no connection, 2 attempts\)"):
        ask("http://127.0.0.1:9/v1", ["x"])


def test_an_answer_where_a_loop_runs_already_as_in_a_notebook(api: Api) -> None:
    async def cell() -> Any:
        return ask(api.url, ["x", "y"])[0]

    assert asyncio.run(cell()) == ["fine"] * 2


def test_ctrl_c_ends_calls_that_wait_and_what_was_answered_is_kept(api: Api) -> None:
    api.fault = lambda prompt, *_: prompt
    expert, kept = RemoteExpert(RemoteSettings("far", "m", api.url, timeout_s=60)), dict[int, str]()
    began = time.monotonic()

    def keep(i: int, reply: Completion) -> None:
        kept[i] = reply.text
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()

    with pytest.raises(KeyboardInterrupt):
        of_kind(OpenAIEngine, open_engine(EngineSettings(), "openai")).arrive(
            [Request(expert, prompt, Sampling()) for prompt in ("slow", "good", "slow")], keep
        )
    assert kept == {1: "fine"}
    assert time.monotonic() - began < 2  # "slow" takes 3 s


def test_no_text_that_a_file_would_not_take(api: Api, tmp_path: Path) -> None:
    api.fault = lambda prompt, *_: "surrogate"
    WRONG["surrogate"] = (completion("\ud800\x00\x1b[31m"),)
    try:
        run = search(recipe(api), tmp_path / "run")
    finally:
        del WRONG["surrogate"]
    assert run.report.dev.score == 0


def recipe(api: Api, **engine: Any) -> Recipe:
    remote = [{"name": name, "model": name, "url": api.url, "attempts": 1, "concurrency": 20} for name in TOY]
    return build_recipe(
        {
            "pool": {"remote": remote},
            "engine": {"name": "openai"} | engine,
            "task": {"name": "toy", "dev": 20, "test": 5, "options": {"toy": {"steps": 2}}},
            "search": {"method": "hswarm", "graphs": 3, "assignments": 4, "iterations": 1},
        }
    )


def test_a_search_stops_above_the_share_and_resumes_below(api: Api, tmp_path: Path) -> None:
    whole = search(recipe(api), tmp_path / "whole")
    api.fault = lambda prompt, *_: "500" if "by others" in prompt and sum(prompt.encode()) % 2 else ""
    with pytest.raises(
        EngineError, match=r"more than engine.max_failed = 0.1 allows; the last fault was: .* status 500"
    ):
        search(recipe(api), tmp_path / "broken")
    api.fault = lambda prompt, *_: ""
    resumed = resume(tmp_path / "broken")
    assert (resumed.path / "history.jsonl").read_bytes() == (whole.path / "history.jsonl").read_bytes()
    assert resumed.report == whole.report.model_copy(update={"wall_s": resumed.report.wall_s})
    api.fault = lambda prompt, _, model: (
        "500" if model == "step-0" and "by others" in prompt and ".3:" in prompt else ""
    )
    some = search(recipe(api), tmp_path / "some")
    assert some.report.calls.failed > 0
    assert some.report.dev.n == 20  # a system with failed calls is never the best


def judged(api: Api) -> Recipe:
    content = recipe(api).model_dump(mode="json")
    content["task"] |= {"scorer": "judge", "scorer_options": {"model": "judge", "url": api.url, "attempts": 1}}
    return build_recipe(content)


def test_a_judged_search_pauses_with_its_judge_and_goes_on(api: Api, tmp_path: Path) -> None:
    exact, whole = search(recipe(api), tmp_path / "exact"), search(judged(api), tmp_path / "whole")
    assert whole.report.dev.score == pytest.approx(0.2 + 0.8 * score(exact.report.dev))
    assert whole.report.calls.failed == 0
    assert whole.report.calls.requested > exact.report.calls.requested
    api.asked.clear()
    api.fault = lambda prompt, _, model: "503" if model == "judge" and api.asked.total() > 100 else ""
    with pytest.raises(EngineError, match=r"'judge' at .* cannot be reached \(status 503, 1 attempts\)"):
        search(judged(api), tmp_path / "broken")
    api.fault = lambda prompt, *_: ""
    resumed = resume(tmp_path / "broken")
    assert (resumed.path / "history.jsonl").read_bytes() == (whole.path / "history.jsonl").read_bytes()
    assert resumed.report == whole.report.model_copy(update={"wall_s": resumed.report.wall_s})


def test_ratings_that_cannot_be_read_are_counted_and_end_a_search_without_any(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.rated", lambda prompt, count: "It is hard to say.")
    with pytest.raises(EngineError, match="every system .* a rating that cannot be read"):
        search(judged(api), tmp_path / "run")
