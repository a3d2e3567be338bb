"""What real clients send: fields of every kind, conversations, broken bodies, /v1/responses, the Node client."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from hswarm import Topology
from hswarm.engines.base import EngineSettings
from hswarm.engines.toy import toy_pool
from hswarm.system.rules import Vote
from hswarm.system.system import System
from tests.server.serving import ANSWER, ORDER, QUESTION, serving, toy_question

openai = pytest.importorskip("openai")
USER = {"role": "user", "content": QUESTION}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def post(
    address: str, body: bytes | dict[str, Any], path: str = "/v1/chat/completions", **headers: str
) -> tuple[int, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address + path, content, {"content-type": "application/json"} | named)
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as fault:
        with fault:
            return fault.code, json.loads(fault.read())


def asked(address: str, messages: list[dict[str, Any]]) -> str:
    """The question that the first node reads."""
    # the toy engine answers what holds a toy question, wherever it stands
    status, reply = post(address, {"model": "toy", "messages": messages, "hswarm": {"trace": True}})
    assert status == 200, reply
    prompt: str = reply["hswarm"]["nodes"][0]["prompt"]
    return prompt.partition("Question: ")[2]


@pytest.mark.parametrize(
    "more",
    [
        {"n": 1, "stream": False, "user": "me", "store": True, "metadata": {"a": "b"}, "service_tier": "auto"},
        {"tools": [TOOL], "tool_choice": "none", "parallel_tool_calls": True},
        {"tools": [], "tool_choice": "auto"},
        {"max_tokens": 10**9},
        {"max_completion_tokens": 10**6, "max_tokens": None},
        {"seed": -1},
        {"seed": 2**80, "temperature": 0.5, "top_p": 0.5},
        {"temperature": None, "top_p": None, "stop": None, "seed": None, "stream": None, "n": None, "tools": None},
        {"stop": []},
        {"stop": ["", "never"]},
        {"logprobs": False, "top_logprobs": 0, "logit_bias": {}, "presence_penalty": 0.0, "frequency_penalty": 0},
        {"response_format": {"type": "text"}, "modalities": ["text"]},
        {
            "what_is_this": [1, {"a": None}],
            "chat_template_kwargs": {"enable_thinking": False},
            "reasoning_effort": "low",
        },
    ],
)
def test_what_asks_for_nothing_special_is_answered(address: str, more: dict[str, Any]) -> None:
    status, reply = post(address, {"model": "toy", "messages": [USER]} | more)
    assert (status, reply["choices"][0]["message"]["content"]) == (200, ANSWER), reply


def test_conversations_become_one_question(address: str) -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}]
    assert asked(
        address,
        [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "1", "content": "3"},
            {
                "role": "assistant",
                "tool_calls": [{"id": "2", "type": "custom", "custom": {"name": "sub", "input": "4"}}],
            },
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            USER | {"name": "me"},
        ],
    ).startswith(
        'Be brief.\n\nBe kind.\n\nSaid before:\nUser: Hello\nAssistant: (calls add with {"a": 1})\nTool: 3\n'
        f"Assistant: (calls sub with 4)\nAssistant: No.\n\n{QUESTION}"
    )
    said = asked(address, [USER, {"role": "assistant", "content": "It is"}])
    assert said.startswith(f"Said before:\nUser: {QUESTION}\nAssistant: It is\n\nWrite the assistant's next message.")
    assert asked(address, [{"role": "system", "content": QUESTION}]).startswith(QUESTION)


def test_several_answers_to_one_question(address: str) -> None:
    _, reply = post(address, {"model": "toy", "messages": [USER], "n": 3, "max_tokens": 2, "seed": 5})
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    _, reply = post(address, {"model": "toy", "prompt": [QUESTION, toy_question(ORDER[:1])], "n": 2}, "/v1/completions")
    assert [choice["text"] for choice in reply["choices"]] == [ANSWER] * 2 + [f"done {ORDER[0]}"] * 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{bad", "not JSON: key must be a string at line 1 column 2"),
        (b"", "not JSON: EOF while parsing"),
        (b"[]", "body: Input should be an object"),
        (b'{"model": "toy", "messages": [{"role": "user", "content": "\\ud800"}]}', "not JSON: unexpected end of hex"),
        (b'{"model": "toy", "messages": [{"role": "user", "content": "\xff"}]}', "not JSON: invalid unicode"),
        (b'{"model": "toy", "messages": [{"role": "user", "content": 5}]}', "messages.0.content: Input should be"),
        (b'{"model": "toy", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}', "temperature"),
        (b'{"model": "toy", "messages": [{"role": "user", "content": "x"}], "top_p": 5e-324}', "top_p is at least"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "model: Field required"),
    ],
)
def test_a_broken_body_is_named_and_hurts_nobody(address: str, body: bytes, words: str) -> None:
    status, reply = post(address, body)
    assert status == 400
    assert words in reply["error"]["message"]
    assert reply["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"n": 10**9}, "less than or equal to 100000"),
        ({"n": 10**400}, "less than or equal to 100000"),
        ({"n": 100_000}, "at most 64 answers a request"),
        ({"messages": [{"role": "user", "content": None}]}, "no text to answer"),
        ({"messages": [{"role": "system", "content": " "}, {"role": "user", "content": []}]}, "no text to answer"),
    ],
)
def test_what_cannot_be_answered_is_refused_before_anything_is_made(
    address: str, more: dict[str, Any], words: str
) -> None:
    status, reply = post(address, {"model": "toy", "messages": [USER]} | more)
    assert status == 400
    assert words in reply["error"]["message"]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [TOOL]}, "tools"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
    ],
)
def test_what_would_change_the_answer_is_refused(address: str, more: dict[str, Any], param: str) -> None:
    status, reply = post(address, {"model": "toy", "messages": [USER]} | more)
    assert (status, reply["error"]["param"], reply["error"]["code"]) == (400, param, "unsupported_parameter")


def test_who_cannot_tell_log_probabilities_is_named(address: str) -> None:
    _, reply = post(address, {"model": "toy", "messages": [USER], "logprobs": True})
    assert f"the engine that answers for 'step-{ORDER[3]}', the last node, gives no" in reply["error"]["message"]
    pool = toy_pool(2).experts
    voting = System(Topology.of(3, [(0, 2), (1, 2)]), (*pool, Vote.new()), base="toy", engine=EngineSettings("toy"))
    with serving({"toy": voting}) as other:
        for path, more, param in (
            ("/v1/chat/completions", {"messages": [USER], "logprobs": True}, "logprobs"),
            ("/v1/completions", {"prompt": QUESTION, "logprobs": 0}, "logprobs"),
            ("/v1/responses", {"input": QUESTION, "include": ["message.output_text.logprobs"]}, "logprobs"),
            ("/v1/responses", {"input": QUESTION, "text": {"format": {"type": "json_object"}}}, "text"),
        ):
            status, reply = post(other, {"model": "toy"} | more, path)
            assert (status, reply["error"]["param"]) == (400, param)
            assert "'vote', the last node, answers by a rule without a model" in reply["error"]["message"]
        assert post(other, {"model": "toy", "prompt": QUESTION, "logprobs": False}, "/v1/completions")[0] == 200


@pytest.mark.parametrize("prompt", [[1, 2], [[1, 2], [3]]])
def test_prompts_of_token_numbers_are_refused_by_name(address: str, prompt: list[Any]) -> None:
    status, reply = post(address, {"model": "toy", "prompt": prompt}, "/v1/completions")
    assert (status, reply["error"]["message"]) == (400, "prompt: token numbers are not supported; send text")


def test_an_unknown_path_is_told_which_there_are(address: str) -> None:
    status, reply = post(address, {"model": "toy", "input": "a"}, "/v1/embeddings")
    assert status == 404
    assert "POST /v1/embeddings: Not Found; there are /v1/chat/completions, " in reply["error"]["message"]


@pytest.mark.parametrize(
    ("site", "origin", "status"),
    [
        ("cross-site", "https://evil.example", 403),
        ("same-site", "http://evil.localhost", 403),
        ("cross-site", "null", 403),
        ("same-origin", "http://127.0.0.1", 200),
        ("none", "null", 200),
        ("cross-site", "chrome-extension://abc", 200),
    ],
)
def test_no_other_web_site_asks_through_a_browser(address: str, site: str, origin: str, status: int) -> None:
    found, reply = post(
        address, {"model": "toy", "messages": [USER]}, sec_fetch_site=site, origin=origin, content_type="text/plain"
    )
    assert found == status, reply


def test_few_texts_end_an_answer_and_names_are_told_short(address: str) -> None:
    status, reply = post(address, {"model": "toy", "messages": [USER], "stop": [str(i) for i in range(100, 117)]})
    assert (status, reply["error"]["param"]) == (400, "stop")
    crowded = {"model": "toy", "input": QUESTION, "metadata": {str(i): "x" for i in range(17)}}
    assert post(address, crowded, "/v1/responses")[0] == 400
    status, reply = post(address, {"model": "x" * 100_000, "messages": [USER]})
    assert (status, len(reply["error"]["message"]) < 300) == (404, True)


def test_head_of_health(address: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(f"{address}/health", method="HEAD")) as reply:
        assert (reply.status, reply.read()) == (200, b"")


def test_responses_whole_and_streamed_through_the_official_client(address: str) -> None:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        reply = client.responses.create(model="toy", input=QUESTION, instructions="Be brief.", metadata={"a": "b"})
        assert (reply.output_text, reply.status, reply.metadata) == (ANSWER, "completed", {"a": "b"})
        chat = client.chat.completions.create(model="toy", messages=[{"role": "system", "content": "Be brief."}, USER])
        assert reply.usage.total_tokens == chat.usage.total_tokens
        turns = [
            {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
            {"type": "reasoning", "id": "r", "summary": []},
            {"type": "function_call", "call_id": "1", "name": "add", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "3"},
            {"type": "custom_tool_call", "call_id": "2", "name": "sub", "input": "4"},
            {"type": "custom_tool_call_output", "call_id": "2", "output": "5"},
            *[item.model_dump() for item in reply.output],
            USER,
        ]
        body = {"hswarm": {"trace": True}}
        again = client.responses.create(model="toy", input=turns, extra_body=body)
        assert (
            f"Said before:\nUser: Hello\nAssistant: (calls add with {{}})\nTool: 3\nAssistant: (calls sub with 4)\nTool: 5\nAssistant: {ANSWER}\n\n{QUESTION}"
            in again.hswarm["nodes"][0]["prompt"]
        )
        with client.responses.stream(model="toy", input=QUESTION) as stream:
            events = list(stream)
            whole = stream.get_final_response()
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == ANSWER
    assert (whole.output_text, whole.usage) == (ANSWER, client_usage(address))
    assert [event.sequence_number for event in events] == sorted(event.sequence_number for event in events)
    assert [events[0].type, events[-1].type] == ["response.created", "response.completed"]


def client_usage(address: str) -> Any:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none") as client:
        return client.responses.create(model="toy", input=QUESTION).usage


def test_responses_refuse_what_they_cannot_do(address: str) -> None:
    for more, param in (
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"text": {"format": {"type": "json_object"}}}, "text"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input.0"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input.0.content"),
    ):
        status, reply = post(address, {"model": "toy", "input": QUESTION} | more, "/v1/responses")
        assert (status, reply["error"]["param"]) == (400, param)
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        events = list(client.responses.create(model="toy", input=QUESTION, stream=True))
        assert events[-1].type == "response.completed"
        *_, last = client.responses.create(model="toy", input="no toy question", stream=True)
        assert (last.type, last.message) == ("error", f"node 1 (step-{ORDER[0]}) gave no reply")


NODE = """
import OpenAI from "openai";
const client = new OpenAI({ baseURL: process.argv[2] + "/v1", apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: process.argv[3] }];
const chat = await client.chat.completions.create({ model: "toy", messages });
let streamed = "";
for await (const chunk of await client.chat.completions.create({ model: "toy", messages, stream: true }))
  streamed += chunk.choices[0]?.delta?.content ?? "";
const response = await client.responses.create({ model: "toy", input: process.argv[3] });
let parts = "";
for await (const event of await client.responses.create({ model: "toy", input: process.argv[3], stream: true }))
  if (event.type === "response.output_text.delta") parts += event.delta;
let fault = "";
await client.chat.completions.create({ model: "none", messages }).catch((error) => { fault = error.code; });
console.log(JSON.stringify([chat.choices[0].message.content, streamed, response.output_text, parts, fault]));
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not here")
def test_the_official_node_client(address: str, tmp_path: Path) -> None:
    (tmp_path / "ask.mjs").write_text(NODE)
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "openai@6"]
    if subprocess.run(install, cwd=tmp_path, capture_output=True, timeout=300).returncode:
        pytest.skip("npm cannot fetch the client here")
    done = subprocess.run(
        ["node", "ask.mjs", address, QUESTION], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [ANSWER] * 4 + ["model_not_found"]
