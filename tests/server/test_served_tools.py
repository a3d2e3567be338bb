"""A tool at a node of a system that `hswarm serve` serves: over HTTP comes what the tool says, whole and streamed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from hswarm.core.topology import Topology
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.experts.tool import ToolSettings
from hswarm.system.system import System
from tests.engines.served import HSWARM, Server

openai = pytest.importorskip("openai")
pytestmark = pytest.mark.model


@contextmanager
def served(root: Path, folder: Path, order: Sequence[str]) -> Iterator[str]:
    """The address of a chain in this order of the expert tav and a calculator that reads all there is."""
    path, base = (str(root / "experts/micro" / name) for name in ("pool", "base"))
    tools = (ToolSettings("calculator", reads="both"),)
    pool = open_pool(PoolSettings(path=path, base=base, experts=("tav",), tools=tools))
    named = {expert.name: expert for expert in pool.experts}
    settings = EngineSettings("transformers", dtype="float32", device="cpu")
    nodes = tuple(named[name] for name in order)
    System(Topology.chain(2), nodes, base=base, engine=settings, sampling=Sampling(8)).save(folder)
    server = Server(*HSWARM, "serve", folder)
    server.start()
    try:
        yield server.url
    finally:
        server.kill()


@pytest.fixture(scope="module")
def url(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(root, tmp_path_factory.mktemp("tools") / "sums", ("tav", "calculator")) as address:
        yield address


@pytest.mark.parametrize(
    ("calculation", "value"),
    [("983 * 385", "378455"), ("1,234 + 1", "1235"), ("7 / 3", "2.33333333333"), ("1 / 0", "error: division by zero")],
)
def test_a_calculator_answers_over_http(url: str, calculation: str, value: str) -> None:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        ask = {"model": "sums", "messages": [{"role": "user", "content": f"What is {calculation}?"}]}
        reply = client.chat.completions.create(**ask, extra_body={"hswarm": {"trace": True}})
        assert reply.choices[0].message.content == value
        assert reply.choices[0].finish_reason == "stop"
        expert, calculator = reply.model_extra["hswarm"]["nodes"]
        assert calculator["prompt"] == f"What is {calculation}?\n{expert['response']}"
        assert reply.usage.completion_tokens == expert["completion_tokens"] > 0  # a tool has no tokens
        streamed = client.chat.completions.create(**ask, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == value
        assert client.responses.create(model="sums", input=f"What is {calculation}?").output_text == value


def test_a_tool_cannot_be_kept_to_json(url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        ask = {"model": "sums", "messages": [{"role": "user", "content": "What is 1 + 1?"}]}
        with pytest.raises(openai.BadRequestError, match="'calculator', the last node, cannot keep a reply to JSON"):
            client.chat.completions.create(**ask, response_format={"type": "json_object"})


def test_an_expert_beside_tools_is_streamed_as_it_writes(root: Path, tmp_path: Path) -> None:
    ask = {"model": "words", "messages": [{"role": "user", "content": "tav on red green blue gold"}]}
    with (
        served(root, tmp_path / "words", ("calculator", "tav")) as url,
        openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client,
    ):
        whole = client.chat.completions.create(**ask).choices[0].message.content
        chunks = [chunk.choices[0].delta.content for chunk in client.chat.completions.create(**ask, stream=True)]
    said = [text for text in chunks if text]
    assert "".join(said) == whole
    assert len(said) > 1
