"""Throughput and latency of `hswarm serve` against the engine alone, on the starter pool, at 1, 8, 32 and 128 clients.

    OMP_NUM_THREADS=1 python benchmarks/serving.py [--questions 64] [--json docs/serving.json]

The engine alone: the executor answers the same questions in portions as large as the number of clients, one portion
after the other, the most that these clients can have in flight. The server: as many clients, each of which
asks its next question when it has the reply to the last, through the official client, over HTTP. No two questions are
equal. A reply is lost if there is none; those that equal the engine's own are counted (float32: batches of other shapes
agree). Seconds of processor time a question are given too, since those of the clock depend on who else is at work.
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
from pathlib import Path

import numpy as np
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from hswarm.core.topology import Topology
from hswarm.engines import open_engine
from hswarm.engines.base import Engine, EngineSettings, Sampling
from hswarm.engines.toy import toy_pool
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks.task import Example
from hswarm.tasks.toy import generate

POOL = Path(__file__).parent.parent / "experts/smollm2"
EDGES = [(0, 2), (1, 2), (2, 3)]


def build(tokens: int, toy: bool) -> System:
    """Four nodes, four experts, three stages."""
    if toy:
        return System(Topology.of(4, EDGES), toy_pool(4).experts, base="toy", engine=EngineSettings("toy"))
    pool = open_pool(PoolSettings(str(POOL), experts=("sums", "sisters", "logic", "letters")))
    engine = EngineSettings(dtype="float32")
    return System(Topology.of(4, EDGES), pool.experts, base=pool.base, engine=engine, sampling=Sampling(tokens))


def questions(count: int, toy: bool) -> list[str]:
    if toy:
        return [example.question for example in generate(count, 0)]
    rng = np.random.default_rng(0)
    pairs = rng.choice(10_000, count, replace=False)
    return [f"State the final answer to the following arithmetic problem: {a // 100} + {a % 100} =" for a in pairs]


def alone(
    engine: Engine, system: System, asked: list[str], portion: int
) -> tuple[list[str], list[float], float, float]:
    """Answers, seconds each question took, seconds in all by the clock and by the processor. The cache is empty."""
    executor, answers, times = Executor(engine), [], []
    began, spent = time.perf_counter(), time.process_time()
    for start in range(0, len(asked), portion):
        examples = [Example(q, q, "") for q in asked[start : start + portion]]
        since = time.perf_counter()
        (nodes,) = executor.run([system], examples, f"portion {start}")
        times += [time.perf_counter() - since] * len(examples)
        answers += [reply.text for reply in nodes[system.topology.sink]]
    return answers, times, time.perf_counter() - began, time.process_time() - spent


async def served(
    address: str, pid: int, asked: list[str], clients: int
) -> tuple[list[str | None], list[float], float, float]:
    """As `alone`, by `clients` clients that share the questions; None for a reply that did not come."""
    answers: list[str | None] = [None] * len(asked)
    times, places = [], iter(range(len(asked)))
    async with AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=600) as client:

        async def ask(question: str) -> str | None:
            messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": question}]
            reply = await client.chat.completions.create(model="bench", messages=messages)
            return reply.choices[0].message.content

        async def one() -> None:
            for place in places:
                since = time.perf_counter()
                try:
                    answers[place] = await ask(asked[place])
                except Exception as fault:
                    print(f"lost: {fault}", file=sys.stderr)
                times.append(time.perf_counter() - since)

        await ask(asked[-1])
        began, spent = time.perf_counter(), processor_seconds(pid)
        await asyncio.gather(*(one() for _ in range(clients)))
        return answers, times, time.perf_counter() - began, processor_seconds(pid) - spent


def processor_seconds(pid: int) -> float:
    """Time that a process has had, user and system (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def row(name: str, clients: int, times: list[float], seconds: float, spent: float) -> dict[str, object]:
    p50, p99 = np.quantile(times, [0.5, 0.99]).round(3).tolist()
    count = len(times)
    return {
        "what": name,
        "clients": clients,
        "questions": count,
        "questions_a_second": round(count / seconds, 3),
        "p50_s": p50,
        "p99_s": p99,
        "processor_s_a_question": round(spent / count, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--toy", action="store_true", help="the toy engine: what serving itself costs")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    system, asked = build(arguments.tokens, arguments.toy), questions(arguments.questions, arguments.toy)
    rows = []
    sizes = {1: arguments.questions // 4} | dict.fromkeys((8, 32, 128), arguments.questions)
    expected: dict[str, str] = {}
    engine = open_engine(system.engine, system.bases)
    Executor(engine).run([system], [Example("w", asked[-1], "")], "warm")
    for clients, size in sizes.items():
        answers, times, seconds, spent = alone(engine, system, asked[:size], clients)
        rows.append(row("engine alone", clients, times, seconds, spent))
        print(json.dumps(rows[-1]), flush=True)
        expected |= dict(zip(asked[:size], answers, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        system.save(Path(folder) / "bench")
        words = [
            sys.executable,
            "-m",
            "hswarm.cli.main",
            "serve",
            str(Path(folder) / "bench"),
            "--port",
            "0",
            "--timeout",
            "600",
        ]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as server:
            assert server.stdout
            address = server.stdout.readline().split("page ")[1].split("/,")[0]
            for clients, size in sizes.items():
                given, times, seconds, spent = asyncio.run(served(address, server.pid, asked[:size], clients))
                same = sum(a == expected[q] for a, q in zip(given, asked[:size], strict=True))
                lost = {"lost": given.count(None), "as_the_engine_alone": same / size}
                rows.append(row("hswarm serve", clients, times, seconds, spent) | lost)
                print(json.dumps(rows[-1]), flush=True)
            server.terminate()
    result = {
        "machine": f"{platform.machine()}, {platform.python_version()}",
        "questions": arguments.questions,
        "nodes": system.topology.size,
        "new_tokens": arguments.tokens,
        "rows": rows,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
