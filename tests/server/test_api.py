"""The API as its clients use it: the official client unchanged, refusals in the API's shape, a stop that loses nothing."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

import hswarm
from hswarm.cli.main import main
from hswarm.config.recipe import Recipe
from hswarm.server.responses import cut, safe
from hswarm.server.schema import Limits
from hswarm.system.system import System
from tests.known import known
from tests.server.serving import ANSWER, ORDER, QUESTION, Gate, serving, toy_question


def client(address: str, key: str = "none", **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, **options)


def say(text: object, role: str = "user") -> Any:
    """A message, also one that the API refuses and the client's types would not hold."""
    return {"role": role, "content": text}


def chat(address: str, text: str = QUESTION, **options: Any) -> ChatCompletion:
    with client(address) as made:
        reply: ChatCompletion = made.chat.completions.create(model="toy", messages=[say(text)], **options)
        return reply


def extra(reply: BaseModel) -> Any:
    """What hswarm adds to a reply of the API, as JSON."""
    return known(reply.model_extra)["hswarm"]


def get(address: str, path: str, **headers: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers)) as reply:
        text: str = reply.read().decode()
        return text


def test_chat_answers_and_counts_the_tokens_of_all_nodes(address: str) -> None:
    reply = chat(address, extra_body={"hswarm": {"trace": True}})
    assert reply.choices[0].message.content == ANSWER
    assert reply.choices[0].finish_reason == "stop"
    nodes, usage = extra(reply)["nodes"], known(reply.usage)
    assert [node["expert"] for node in nodes] == [f"step-{i}" for i in ORDER]
    assert nodes[1]["hears"] == [0]
    assert f"- {nodes[0]['response']}" in nodes[1]["prompt"]
    assert usage.prompt_tokens == sum(node["prompt_tokens"] for node in nodes)
    assert usage.completion_tokens == sum(node["completion_tokens"] for node in nodes)
    assert chat(address).model_extra == {}


def test_streaming_gives_the_same_answer_usage_and_what_nodes_say(address: str) -> None:
    with client(address) as made:
        chunks = list(
            made.chat.completions.create(
                model="toy",
                messages=[say(QUESTION)],
                stream=True,
                stream_options={"include_usage": True},
                extra_body={"hswarm": {"trace": True}},
            )
        )
        plain = list(made.chat.completions.create(model="toy", messages=[say(QUESTION)], stream=True))
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert choices[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in choices) == ANSWER
    assert choices[-1].finish_reason == "stop"
    assert chunks[-1].usage == chat(address).usage
    told = [extra(chunk) for chunk in chunks if "hswarm" in known(chunk.model_extra)]
    events = [(one["event"], one["node"]) for one in told]
    assert events == [(kind, node) for node in range(4) for kind in ("started", "done")]
    assert all(chunk.choices and not chunk.model_extra for chunk in plain)


def test_completions_of_one_and_of_many_prompts(address: str) -> None:
    short = toy_question(ORDER[:1])
    with client(address) as made:
        reply = made.completions.create(model="toy", prompt=[QUESTION, short])
        assert [choice.text for choice in reply.choices] == [ANSWER, f"done {ORDER[0]}"]
        texts = ["", ""]
        for chunk in made.completions.create(model="toy", prompt=[QUESTION, short], stream=True):
            texts[chunk.choices[0].index] += chunk.choices[0].text
        assert texts == [ANSWER, f"done {ORDER[0]}"]


def test_models_and_health(address: str) -> None:
    with client(address) as made:
        assert [model.id for model in made.models.list()] == ["toy", "toy:best-single"]
        model = made.models.retrieve("toy:best-single")
        assert extra(model)["nodes"] == [{"node": 0, "expert": f"step-{ORDER[0]}", "hears": []}]
        assert extra(model)["svg"].startswith("<svg")
        assert extra(model)["about"] is None
        reply = made.chat.completions.create(model="toy:best-single", messages=[say(QUESTION)])
        assert reply.choices[0].message.content == f"done {ORDER[0]}"
    assert json.loads(get(address, "/health")) == {"status": "ok", "models": ["toy", "toy:best-single"], "in_flight": 0}


def test_a_conversation_becomes_one_question(address: str) -> None:
    messages = [
        say("Be brief.", "system"),
        say("Hello", "user"),
        say("Good day", "assistant"),
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
    ]
    with client(address) as made:
        reply = made.chat.completions.create(model="toy", messages=messages, extra_body={"hswarm": {"trace": True}})
    said = "Be brief.\n\nSaid before:\nUser: Hello\nAssistant: Good day\n\n" + QUESTION
    assert f"Question: {said}" in extra(reply)["nodes"][0]["prompt"]


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        ({"model": "tay"}, 404, "no model 'tay'; there are: toy, toy:best-single"),
        ({"messages": []}, 400, "messages: List should have at least 1 item"),
        ({"messages": [say("hi", "robot")]}, 400, "messages.0.role: Input should be"),
        ({"messages": [say([{"type": "image_url", "image_url": {"url": "data:"}}])]}, 400, "send text"),
        ({"n": 65}, 400, "at most 64 answers a request"),
        ({"extra_body": {"best_of": 2}}, 400, "'best_of' is not supported here"),
        ({"logprobs": True}, 400, "'logprobs' is not supported here"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "'tools' is not supported here"),
        ({"response_format": {"type": "json_object"}}, 400, "'response_format' is not supported here"),
        ({"max_tokens": 0}, 400, "max_tokens: Input should be greater"),
        ({"temperature": 1e-320}, 400, "temperature is 0 (the most likely word) or at least 0.0001"),
        ({"temperature": 1e-5}, 400, "temperature is 0"),
        ({"top_p": 1e-300}, 400, "top_p is at least 0.0001"),
        ({"top_p": 0}, 400, "top_p is at least 0.0001"),
        ({"stop": 5}, 400, "stop: Input should be a valid string"),
        ({"max_completion_tokens": 0}, 400, "max_completion_tokens: Input should be greater"),
        ({"temperature": 3}, 400, "temperature: Input should be less"),
        ({"messages": [say("x" * 101)]}, 400, "has 101 characters, the limit is 100"),
        ({"messages": [say("x" * 3000)]}, 413, "longer than 2000 bytes"),
        ({"messages": [say("no toy question")]}, 500, "gave no reply"),
        ({"extra_body": {"hswarm": {"tracing": True}}}, 400, "hswarm.tracing: Extra inputs are not permitted"),
    ],
)
def test_refusals_have_the_apis_shape(
    systems: dict[str, System], options: dict[str, Any], status: int, text: str
) -> None:
    with serving(systems, limits=Limits(tokens=64, characters=100, body=2000)) as address, client(address) as made:
        with pytest.raises(openai.APIStatusError) as refusal:
            made.chat.completions.create(**{"model": "toy", "messages": [say(QUESTION)]} | options)
        assert refusal.value.status_code == status
        body: Any = refusal.value.body
        assert text in body["message"]
        assert set(body) == {"message", "type", "param", "code"}


def test_neutral_values_of_what_is_not_offered_are_taken(address: str) -> None:
    reply = chat(
        address,
        n=1,
        logprobs=False,
        presence_penalty=0,
        tool_choice="none",
        response_format={"type": "text"},
        max_completion_tokens=64,
        temperature=0,
        top_p=1,
        seed=3,
        user="me",
        stop=None,
    )
    assert reply.choices[0].message.content == ANSWER


def test_stop_ends_an_answer_before_it(address: str) -> None:
    word = f" {ORDER[2]}"
    expected = ANSWER[: ANSWER.index(word)]
    reply = chat(address, stop=[word, "never"])
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == (expected, "stop")
    with client(address) as made:
        chunks = made.chat.completions.create(model="toy", messages=[say(QUESTION)], stop=word, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == expected


def test_a_stop_is_never_shown_in_part() -> None:
    text, stops = "one two three", ("two",)
    shown = [safe(text[:end], stops) for end in range(len(text) + 1)]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(shown))
    assert shown[-1] == cut(text, stops) == "one "


def test_a_failed_stream_ends_with_an_error(address: str) -> None:
    with client(address) as made, pytest.raises(openai.APIError, match="gave no reply"):
        list(made.chat.completions.create(model="toy", messages=[say("no toy question")], stream=True))


def test_a_key_guards_the_api_and_not_health(systems: dict[str, System]) -> None:
    with serving(systems, key="secret") as address:
        with client(address, "wrong") as made, pytest.raises(openai.AuthenticationError, match="missing or wrong"):
            made.models.list()
        with client(address, "secret") as made:
            assert made.models.list().data
        assert json.loads(get(address, "/health"))["status"] == "ok"
        with pytest.raises(urllib.error.HTTPError) as refusal:
            get(address, "/metrics")
        refusal.value.close()
        assert refusal.value.code == 401
        assert "hswarm_requests" in get(address, "/metrics", Authorization="Bearer secret")


def test_foreign_hosts_unknown_paths_and_chunked_bodies(systems: dict[str, System]) -> None:
    with serving(systems, hosts={"127.0.0.1"}, limits=Limits(body=2000)) as address:
        for path, headers, code in (
            ("/health", {"Host": "evil.example"}, 403),
            ("/v2", {}, 404),
            ("/page/no", {}, 404),
        ):
            with pytest.raises(urllib.error.HTTPError) as refusal:
                get(address, path, **headers)
            with refusal.value as reply:
                assert (reply.code, "message" in json.loads(reply.read())["error"]) == (code, True)

        def pieces() -> Iterator[bytes]:
            for _ in range(5):
                time.sleep(0.05)  # still sending when it is refused
                yield b"x" * 1000

        request = urllib.request.Request(address + "/v1/completions", pieces(), {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request)
        refusal.value.close()
        assert refusal.value.code == 413


def test_metrics_count_what_happened(systems: dict[str, System]) -> None:
    with serving(systems) as address:
        before = chat(address)
        with client(address) as made, pytest.raises(openai.NotFoundError):
            made.chat.completions.create(model="none", messages=[say("?")])
        lines = dict(line.rsplit(" ", 1) for line in get(address, "/metrics").splitlines() if not line.startswith("#"))
    endpoint = 'endpoint="/v1/chat/completions"'
    assert lines[f'hswarm_requests_total{{{endpoint},status="200"}}'] == "1.0"
    assert lines[f'hswarm_requests_total{{{endpoint},status="404"}}'] == "1.0"
    assert lines[f"hswarm_request_seconds_count{{{endpoint}}}"] == "2.0"
    assert lines['hswarm_calls_total{how="generated"}'] == "4.0"
    assert lines['hswarm_tokens_total{kind="prompt"}'] == f"{known(before.usage).prompt_tokens}.0"
    assert lines["hswarm_batch_calls_count"] == "4.0"
    assert lines["hswarm_in_flight"] == "0.0"


def test_many_clients_at_once_get_each_their_own_answer(address: str) -> None:
    parts = [ORDER[start:end] for start in range(4) for end in range(start + 1, 5)]
    with client(address) as made, ThreadPoolExecutor(32) as pool:

        def one(question: str) -> str | None:
            reply = made.chat.completions.create(model="toy", messages=[say(question)])
            return reply.choices[0].message.content

        answers = list(pool.map(one, [f"{toy_question(part)}; number {i}" for i in range(6) for part in parts]))
    assert answers == ["done " + " ".join(map(str, part)) for part in parts] * 6


def test_a_full_queue_refuses(systems: dict[str, System], gate: Gate) -> None:
    with serving(systems, gate, queue=1) as address, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(chat, address)
        while not json.loads(get(address, "/health"))["in_flight"]:
            time.sleep(0.01)
        with pytest.raises(openai.RateLimitError, match="1 questions are under way"):
            chat(address)
        gate.open.set()
        assert waiting.result().choices[0].message.content == ANSWER


def test_an_answer_that_takes_too_long_is_given_up(systems: dict[str, System], gate: Gate) -> None:
    with serving(systems, gate, limits=Limits(seconds=0.3)) as address:
        with pytest.raises(openai.InternalServerError, match="no complete answer within 0.3 s") as late:
            chat(address)
        assert late.value.status_code == 504
        assert json.loads(get(address, "/health"))["in_flight"] == 0
        gate.open.set()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_its_place(systems: dict[str, System], gate: Gate, stream: bool) -> None:
    with serving(systems, gate) as address:
        with client(address, timeout=0.3) as made, pytest.raises(openai.APITimeoutError):
            list(made.chat.completions.create(model="toy", messages=[say(QUESTION)], stream=stream))
        deadline = time.monotonic() + 30
        while json.loads(get(address, "/health"))["in_flight"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        gate.open.set()


def test_a_stopping_server_finishes_what_was_begun(systems: dict[str, System]) -> None:
    gate, answers = Gate(), list[str | None]()
    with serving(systems, gate) as address:
        threads = [
            threading.Thread(
                target=lambda i=i: answers.append(chat(address, QUESTION + " " * i).choices[0].message.content)
            )
            for i in range(8)
        ]
        for thread in threads:
            thread.start()
        while json.loads(get(address, "/health"))["in_flight"] < 8:
            time.sleep(0.01)
        threading.Timer(0.3, gate.open.set).start()  # after the server was told to stop
    for thread in threads:
        thread.join()
    assert answers == [ANSWER] * 8


def test_the_command_serves_a_run_and_ends_at_a_signal(
    toy_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = hswarm.search(toy_recipe, tmp_path / "run")
    words = [sys.executable, "-m", "hswarm.cli.main", "serve", str(run.path), "--port", "0", "--name", "mine"]
    for number in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, text=True, env=os.environ | {"HSWARM_API_KEY": ""}
        ) as server:
            first = known(server.stdout).readline()
            assert first.startswith("serving mine, mine:best-single: page http://127.0.0.1:")
            address = first.split("page ")[1].split("/,")[0]
            with client(address) as made:
                question = toy_question([0])
                reply = made.chat.completions.create(model="mine", messages=[say(question)])
            assert [reply.choices[0].message.content] == run.best.respond([question])
            server.send_signal(number)
            assert server.wait(60) == 0
    assert main(["serve", str(run.path), "--port", "1", "--host", "192.0.2.1"]) == 2
    assert "cannot listen on 192.0.2.1:1" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "prometheus_client"])
def test_a_missing_package_is_named_with_its_remedy(package: str, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; from hswarm.cli.main import main; sys.exit(main(['serve', 'x']))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (
        2,
        "hswarm: serving needs an optional dependency: pip install 'hswarm[serve]'\n",
    )
