"""What only a real model shows: a context that is full, the least temperature, several drawn answers, log-probabilities,
replies in JSON."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from hswarm import Topology
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, LikelihoodEngine, Output, Request, Sampling
from hswarm.experts.pool import ExpertPool, PoolSettings, open_pool
from hswarm.system.system import System
from tests.server.serving import serving

openai = pytest.importorskip("openai")
pytestmark = pytest.mark.model


def micro_pool(root: Path, *names: str) -> ExpertPool:
    path, base = (str(root / "experts/micro" / name) for name in ("pool", "base"))
    return open_pool(PoolSettings(path=path, base=base, experts=names), least=1)


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    pool = micro_pool(root, "tav", "wex")
    settings = EngineSettings("transformers", dtype="float32", device="cpu")
    system = System(Topology.chain(2), pool.experts, base=pool.base, engine=settings, sampling=Sampling(8))
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


def test_log_probabilities_of_the_answer_at_every_endpoint(address: str) -> None:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        ask = {"model": "micro", "messages": [{"role": "user", "content": "tav a b"}]}
        choice = client.chat.completions.create(**ask, logprobs=True, top_logprobs=3).choices[0]
        tokens = choice.logprobs.content
        assert "".join("".join(token.token for token in tokens).split()) == "".join(choice.message.content.split())
        for token in tokens:
            likeliest = [other.logprob for other in token.top_logprobs]
            assert (len(likeliest), likeliest[0]) == (3, token.logprob)  # greedy
            assert sum(map(math.exp, likeliest)) <= 1.0001
            assert bytes(token.bytes).decode() == token.token
        *_, last = client.chat.completions.create(**ask, logprobs=True, top_logprobs=3, stream=True)
        assert last.choices[0].logprobs.content == tokens
        part = tokens[2].token
        cut = client.chat.completions.create(**ask, logprobs=True, stop=part).choices[0]
        assert [token.token for token in cut.logprobs.content] == [token.token for token in tokens[:2]]
        assert client.chat.completions.create(**ask).choices[0].logprobs is None

        text = client.completions.create(model="micro", prompt="tav a b", logprobs=2).choices[0].logprobs
        assert text.token_logprobs == [token.logprob for token in tokens]
        assert text.top_logprobs[0] == {other.token: other.logprob for other in tokens[0].top_logprobs[:2]}
        assert text.text_offset[2] == len(text.tokens[0]) + len(text.tokens[1])

        named = {"include": ["message.output_text.logprobs"], "top_logprobs": 3}
        whole = client.responses.create(model="micro", input="tav a b", **named)
        found = whole.output[0].content[0].logprobs
        assert [token.logprob for token in found] == [token.logprob for token in tokens]
        *_, end = client.responses.create(model="micro", input="tav a b", **named, stream=True)
        assert end.response.output[0].content[0].logprobs == found


def test_log_probabilities_are_those_of_the_model_in_a_mixed_drawn_batch(root: Path) -> None:
    pool = micro_pool(root, "tav")
    (expert,) = pool.experts
    engine = open_engine(EngineSettings("transformers", dtype="float32", device="cpu"), pool.base)
    assert isinstance(engine, LikelihoodEngine)
    drawn = Sampling(6, temperature=1.0)
    asked = [Request(expert, prompt, drawn, output=Output(logprobs=0)) for prompt in ("tav a b", "a longer one: tav c")]
    one, other, plain = engine.generate([*asked, Request(expert, "tav b", drawn)])
    assert plain.logprobs == ()
    for request, made in zip(asked, (one, other), strict=True):
        first = made.logprobs[0]
        letter = Request(expert, request.prompt, Sampling(choose="letter"), ((first.text, ""),))
        (found,) = engine.loglikelihood([letter])
        assert found.logs[0] == pytest.approx(first.logprob, abs=1e-4)


@pytest.fixture(scope="module")
def smollm2(root: Path) -> Iterator[str]:
    pool = open_pool(PoolSettings(path=str(root / "experts/smollm2"), experts=("sums",)), least=1)
    settings = EngineSettings("transformers", dtype="float32", device="cpu")
    system = System(Topology.chain(1), pool.experts, base=pool.base, engine=settings, sampling=Sampling(40))
    with serving({"smol": system}, open_engine(settings, system.bases)) as found:
        yield found


@pytest.mark.slow
def test_an_answer_in_json_is_an_object_however_it_is_drawn(smollm2: str) -> None:
    pytest.importorskip("llguidance")
    with openai.OpenAI(base_url=f"{smollm2}/v1", api_key="none", max_retries=0) as client:
        ask = {"model": "smol", "messages": [{"role": "user", "content": "Say hello to Ann."}]}
        plain = client.chat.completions.create(**ask).choices[0].message.content
        assert not plain.startswith("{")
        form = {"type": "json_object"}
        drawn = client.chat.completions.create(**ask, response_format=form, n=8, temperature=1, seed=1, logprobs=True)
        ended = [choice for choice in drawn.choices if choice.finish_reason == "stop"]
        assert ended
        assert all(isinstance(json.loads(choice.message.content), dict) for choice in ended)
        assert all(choice.message.content.startswith("{") for choice in drawn.choices)
        assert all(choice.logprobs.content[0].logprob > -9999 for choice in drawn.choices)
        new = client.responses.create(model="smol", input="Say hello to Ann.", text={"format": form})
        assert new.output_text.startswith("{")
        assert client.chat.completions.create(**ask).choices[0].message.content == plain


def test_a_tokenizer_that_cannot_be_kept_to_json_says_so(address: str) -> None:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        ask = {"model": "micro", "messages": [{"role": "user", "content": "tav a b"}]}
        with pytest.raises(openai.BadRequestError, match="'wex', the last node, cannot keep a reply to JSON"):
            client.chat.completions.create(**ask, response_format={"type": "json_object"})
