"""What only a real model shows: a context that is full, the least temperature, several drawn answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hswarm import Topology
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.system.system import System
from tests.server.serving import serving

openai = pytest.importorskip("openai")
pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    micro = {"path": str(root / "experts/micro/pool"), "base": str(root / "experts/micro/base")}
    experts = open_pool(PoolSettings(**micro, experts=("tav", "wex"))).experts
    settings = EngineSettings("transformers", dtype="float32", device="cpu")
    system = System(Topology.chain(2), experts, base=micro["base"], engine=settings, sampling=Sampling(8))
    with serving({"micro": system}, open_engine(settings, system.bases)) as found:
        yield found


def test_a_question_beyond_the_context_is_refused_and_hurts_nobody(address: str) -> None:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        for stream in (False, True):
            with pytest.raises(openai.APIError, match="leaves no room for a reply") as refusal:
                list(
                    client.chat.completions.create(
                        model="micro", messages=[{"role": "user", "content": "a b c " * 16_000}], stream=stream
                    )
                )
            assert refusal.value.code == "context_length_exceeded"
        reply = client.chat.completions.create(model="micro", messages=[{"role": "user", "content": "tav a b"}])
        assert reply.usage.completion_tokens > 0


def test_the_least_temperature_and_top_p_are_arithmetic_that_holds(address: str) -> None:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        ask = {"model": "micro", "messages": [{"role": "user", "content": "tav a b"}]}
        greedy = client.chat.completions.create(**ask, temperature=0).choices[0].message.content
        for more in ({"temperature": 1e-4}, {"temperature": 2, "top_p": 1e-4}):
            drawn = client.chat.completions.create(**ask, **more, seed=-3, n=2)
            assert [choice.message.content for choice in drawn.choices] == [greedy] * 2
