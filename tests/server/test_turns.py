"""A client with long or many requests does not hold up the others, at a real server over real connections."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest

from hswarm.engines.base import Completion, EngineSettings, Request
from hswarm.engines.toy import ToyEngine
from hswarm.server.schema import Limits
from hswarm.system.system import System
from tests.server.serving import ANSWER, QUESTION, serving

pytest.importorskip("uvicorn")
LONG = QUESTION + " " * 60_000


class Slow(ToyEngine):
    """The toy engine, a second for each 50,000 characters of a batch's longest prompt."""

    def __init__(self) -> None:
        super().__init__(EngineSettings("toy"))
        self.began: list[tuple[float, int]] = []

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        longest = max(len(request.prompt) for request in requests)
        self.began.append((time.monotonic(), longest))
        time.sleep(longest / 50_000)
        return super().generate(requests)

    def long_since(self, moment: float) -> int:
        return sum(1 for began, longest in self.began if longest > 10_000 and began >= moment)


def chat(address: str, question: str, client: str) -> float:
    """Seconds to the answer of a question from the local address `client`."""
    host, port = address.removeprefix("http://").split(":")
    connection = HTTPConnection(host, int(port), source_address=(client, 0), timeout=60)
    began = time.monotonic()
    body = json.dumps({"model": "toy", "messages": [{"role": "user", "content": question}]})
    connection.request("POST", "/v1/chat/completions", body)
    reply = json.loads(connection.getresponse().read())
    connection.close()
    assert reply["choices"][0]["message"]["content"] == ANSWER
    return time.monotonic() - began


@pytest.mark.parametrize("address_of_long", ["127.0.0.1", "127.0.0.2"])
def test_short_requests_beside_a_long_one(systems: dict[str, System], address_of_long: str) -> None:
    """Told apart by address or not: four short requests at a time wait for no more than one long call."""
    engine = Slow()
    with serving(systems, engine, limits=Limits(seconds=60)) as address, ThreadPoolExecutor(5) as pool:
        long = pool.submit(chat, address, LONG, address_of_long)
        while not engine.began:
            time.sleep(0.005)
        moment = time.monotonic()
        asked = [pool.submit(chat, address, f"{QUESTION}; {i}", "127.0.0.1") for i in range(16)]
        times = sorted(one.result() for one in asked)
        assert engine.long_since(moment) <= 1
        assert times[len(times) // 2] < 0.6  # four wait for the long call that had begun, the others for none
        assert long.result() > 4


def test_a_client_with_many_long_requests_takes_its_turn(systems: dict[str, System]) -> None:
    engine = Slow()
    with serving(systems, engine, limits=Limits(seconds=60)) as address, ThreadPoolExecutor(13) as pool:
        many = [pool.submit(chat, address, LONG + f"; {i}", "127.0.0.2") for i in range(8)]
        while not engine.began:
            time.sleep(0.005)
        moment = time.monotonic()
        asked = [pool.submit(chat, address, f"{QUESTION}; {i}", "127.0.0.1") for i in range(16)]
        assert max(one.result() for one in asked) < 3
        assert engine.long_since(moment) <= 1
        assert all(one.result() > 0 for one in many)
