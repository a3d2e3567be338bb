"""Clients against a running `hswarm serve`: OpenAI's, LangChain, LiteLLM, and the requests that Open WebUI sends.

    python -m venv clients && clients/bin/pip install langchain-openai litellm==1.83.14
    clients/bin/python scripts/check_clients.py --serve "$(which hswarm)"

The server runs in the environment of `--serve`, the clients in this one; a client that is not installed is named and
left out. LiteLLM 1.82.7 and 1.82.8 were malicious (https://github.com/BerriAI/litellm/issues/24512); 1.83.0 and later
were built anew. Open WebUI's requests are those that its backend sends (open_webui/routers/openai.py), made with the
standard library. Exits with status 1 if a client that is here gets another answer than `hswarm ask` gives.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RECIPE = Path(__file__).parent.parent / "recipes/toy.toml"
QUESTION = "toy 0.0: steps 0 1; difficulty 0.1 0.1"


def langchain(url: str, expected: str) -> None:
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="toy", base_url=url, api_key="none", max_retries=0, max_tokens=4000)
    turns = [SystemMessage("Be brief."), HumanMessage("Hello"), AIMessage("Good day"), HumanMessage(QUESTION)]
    assert model.invoke(turns).content == expected
    assert model.invoke(QUESTION, stop=["never"]).usage_metadata["total_tokens"] > 0
    assert "".join(part.content for part in model.stream(QUESTION)) == expected
    assert [reply.content for reply in model.batch([QUESTION] * 4)] == [expected] * 4
    assert asyncio.run(model.ainvoke(QUESTION)).content == expected
    newer = ChatOpenAI(model="toy", base_url=url, api_key="none", max_retries=0, use_responses_api=True)
    assert newer.invoke(QUESTION).text == expected
    assert "".join(part.text for part in newer.stream(QUESTION)) == expected


def litellm(url: str, expected: str) -> None:
    from litellm import completion, responses

    messages = [{"role": "user", "content": QUESTION}]
    options = {"model": "openai/toy", "api_base": url, "api_key": "none", "num_retries": 0}
    assert completion(messages=messages, **options).choices[0].message.content == expected
    parts = completion(messages=messages, stream=True, stream_options={"include_usage": True}, **options)
    assert "".join(part.choices[0].delta.content or "" for part in parts) == expected
    assert responses(input=QUESTION, **options).output[0].content[0].text == expected


def official(url: str, expected: str) -> None:
    """The list of what clients send: each field is honoured, ignored or refused by name."""
    import openai

    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    user = {"role": "user", "content": QUESTION}
    said = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"} | tool]}
    said["tool_calls"][0]["function"] = {"name": "add", "arguments": "{}"}
    turns = [{"role": "developer", "content": "Be brief."}, user, said]
    turns += [{"role": "tool", "tool_call_id": "1", "content": "3"}]
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)

    def ask(**more: object) -> list[str]:
        made = client.chat.completions.create(**{"model": "toy", "messages": [user]} | more)
        return [choice.message.content for choice in made.choices]

    for more in (
        {"tools": [tool], "tool_choice": "none"},
        {"stop": ["never"], "seed": -(2**70), "max_completion_tokens": 10**9},
        {"response_format": {"type": "text"}, "extra_body": {"what_is_this": [1]}},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]},
        {"messages": [*turns, user]},
    ):
        assert ask(**more) == [expected], more
    assert ask(n=3) == [expected] * 3
    assert ask(messages=turns)
    for more in ({"logprobs": True}, {"response_format": {"type": "json_object"}}, {"tools": [tool]}):
        try:
            ask(**more)
        except openai.BadRequestError as refusal:
            assert refusal.code == "unsupported_parameter"
            assert refusal.param in more
        else:
            raise AssertionError(f"{more} changed nothing and was not refused")
    assert client.responses.create(model="toy", input=QUESTION).output_text == expected


def open_webui(url: str, expected: str) -> None:
    """Its list of models, a conversation streamed with usage, and the title that it asks for afterwards."""
    models = json.loads(_get(f"{url}/models"))["data"]
    assert models[0]["id"] == "toy"
    chat = {
        "model": "toy",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "system", "content": ""}, {"role": "user", "content": QUESTION}],
    }
    lines = [line.removeprefix("data: ") for line in _get(f"{url}/chat/completions", chat).split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    said = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]]
    assert "".join(said) == expected
    assert chunks[-1]["usage"]["total_tokens"] > 0
    title = {"model": "toy", "stream": False, "max_completion_tokens": 1000, "messages": chat["messages"][1:]}
    assert json.loads(_get(f"{url}/chat/completions", title))["choices"][0]["message"]["content"] == expected


CLIENTS: dict[str, tuple[str, Callable[[str, str], None]]] = {
    "openai": ("openai", official),
    "langchain-openai": ("langchain-openai", langchain),
    "litellm": ("litellm", litellm),
    "open-webui's requests": ("", open_webui),
}


def _get(url: str, body: dict[str, object] | None = None) -> str:
    headers = {"content-type": "application/json", "authorization": "Bearer none", "accept": "*/*"}
    content = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(urllib.request.Request(url, content, headers), timeout=60) as reply:
        return reply.read().decode()


def _version(package: str) -> str | None:
    try:
        return version(package) if package else ""
    except PackageNotFoundError:
        return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", default="hswarm", metavar="COMMAND", help="the hswarm command to serve with")
    arguments = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/toy"
        search = [arguments.serve, "search", RECIPE, "--set", "search.iterations=1", "--run", run]
        subprocess.run(search, check=True, capture_output=True)
        ask = subprocess.run([arguments.serve, "ask", run, QUESTION], check=True, capture_output=True, text=True)
        words = [arguments.serve, "serve", run, "--port", "0", "--name", "toy"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            found = re.search(r"API (http://\S+/v1)", server.stdout.readline())
            assert found
            for name, (package, check) in CLIENTS.items():
                if (here := _version(package)) is None:
                    print(f"{name}: not installed here")
                    continue
                try:
                    check(found[1], ask.stdout.strip())
                    print(f"{name} {here}: passed")
                except Exception as fault:
                    failed = True
                    print(f"{name} {here}: {type(fault).__name__}: {fault}")
            server.terminate()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
