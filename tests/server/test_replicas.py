"""One door, several workers: all are asked at once, and one that dies is replaced without a lost reply."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hswarm
from hswarm.cli.main import main
from hswarm.config.recipe import Recipe
from hswarm.engines.base import Engine, EngineSettings, TokenLogprob, close
from hswarm.engines.toy import ToyEngine
from hswarm.experts.fusion import Callee
from hswarm.server.replicas import open_replicas
from hswarm.system.system import System
from tests.server.serving import ANSWER, QUESTION, serving

openai = pytest.importorskip("openai")


class Placed(ToyEngine):
    """The toy engine, taking its time, in batches of one; each call leaves its process' number in a folder."""

    def __init__(self, settings: EngineSettings, base: str = "") -> None:
        super().__init__(EngineSettings("toy", batch=1), base)

    def generate(self, requests: Any) -> Any:
        time.sleep(0.05)
        Path(os.environ["PLACED"], str(os.getpid())).touch()
        made = super().generate(requests)
        asked = [request.output.logprobs is not None for request in requests]
        return [
            replace(c, logprobs=(TokenLogprob("done", -1.0),)) if a else c for c, a in zip(made, asked, strict=True)
        ]

    def offers(self, expert: Callee) -> frozenset[str]:
        return frozenset({"logprobs"})


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Engine]]:
    monkeypatch.setenv("PLACED", str(tmp_path))
    name = "tests.server.test_replicas:Placed"
    monkeypatch.setenv("HSWARM_ALLOW", name)
    made = open_replicas(EngineSettings(name, device="cpu", devices=(0, 1)), ["toy"], [])
    assert len(made) == 2
    yield made
    for engine in made:
        close(engine)


def chat(address: str, number: int) -> str:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        messages = [{"role": "user", "content": QUESTION + " " * number}]
        content = client.chat.completions.create(model="toy", messages=messages).choices[0].message.content
        return str(content)


def test_both_workers_answer_and_one_may_die(systems: dict[str, System], engines: list[Engine], tmp_path: Path) -> None:
    with serving(systems, *engines) as address, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda i: chat(address, i), range(16))) == [ANSWER] * 16
        workers = {int(path.name) for path in tmp_path.iterdir()}
        assert len(workers) == 2
        asked = [pool.submit(chat, address, i) for i in range(100, 116)]
        os.kill(workers.pop(), signal.SIGKILL)
        assert [one.result() for one in asked] == [ANSWER] * 16


def test_what_an_engine_offers_is_offered_by_its_workers(systems: dict[str, System], engines: list[Engine]) -> None:
    with serving(systems, *engines) as address, openai.OpenAI(base_url=f"{address}/v1", api_key="none") as client:
        ask = {"model": "toy", "messages": [{"role": "user", "content": QUESTION}]}
        choice = client.chat.completions.create(**ask, logprobs=True).choices[0]
        assert [(token.token, token.logprob) for token in choice.logprobs.content] == [("done", -1.0)]
        assert client.chat.completions.create(**ask).choices[0].logprobs is None
        with pytest.raises(openai.BadRequestError, match="cannot keep a reply to JSON"):
            client.chat.completions.create(**ask, response_format={"type": "json_object"})


def test_what_devices_cannot_be_is_said_in_one_line(
    toy_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = hswarm.search(toy_recipe, tmp_path / "run")
    for words in (["--devices", "a"], ["--devices", "0", "--cluster", "auto"], ["--workers", "2"]):
        assert main(["serve", str(run.path), "--port", "0", *words]) == 2
        assert "--devices, --cluster, --workers: " in capsys.readouterr().err
    for name, said in (
        ("transformer", "did you mean 'transformers'"),
        ("openvino", "engine 'openvino' supports nothing else"),
    ):
        assert main(["serve", str(run.path), "--port", "0", "--engine", name]) == 2
        assert said in capsys.readouterr().err
