"""Throughput and latency of `hswarm serve` against the engine alone, on the starter pool, at 1, 8 and 32 clients.

    python benchmarks/serving.py [--questions 64] [--json docs/serving.json]

The engine alone: the executor answers the same questions in portions as large as the number of clients, one portion
after the other, which is the most that so many clients can have in flight. The server: as many clients, each of which
asks its next question when it has the reply to the last, through the official client, over HTTP. No two questions are
equal. A reply is lost if there is none, or if it is not the engine's own (float32: batches of other shapes agree).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from openai import AsyncOpenAI

from hswarm.core.topology import Topology
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.execution.execute import Executor
from hswarm.execution.system import System
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.tasks.task import Example

POOL = Path(__file__).parent.parent / "experts/smollm2"
EDGES = [(0, 2), (1, 2), (2, 3)]
CLIENTS = (1, 8, 32)


def build(tokens: int) -> System:
    """Four nodes, four experts, three stages."""
    pool = open_pool(PoolSettings(str(POOL), experts=("sums", "sisters", "logic", "letters")))
    engine = EngineSettings(dtype="float32")
    return System(Topology.of(4, EDGES), pool.experts, base=pool.base, engine=engine, sampling=Sampling(tokens))


def questions(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    pairs = rng.choice(10_000, count, replace=False)
    return [f"State the final answer to the following arithmetic problem: {a // 100} + {a % 100} =" for a in pairs]


def alone(system: System, asked: list[str], portion: int) -> tuple[list[str], list[float], float]:
    """Answers, seconds each question took, seconds in all. The engine is warm, the cache empty."""
    engine = open_engine(system.engine, system.bases)
    Executor(engine).run([system], [Example("w", "warm up", "")], "warm")
    executor, answers, times = Executor(engine), [], []
    began = time.perf_counter()
    for start in range(0, len(asked), portion):
        examples = [Example(q, q, "") for q in asked[start : start + portion]]
        since = time.perf_counter()
        (nodes,) = executor.run([system], examples, f"portion {start}")
        times += [time.perf_counter() - since] * len(examples)
        answers += [reply.text for reply in nodes[system.topology.sink]]
    return answers, times, time.perf_counter() - began


async def served(address: str, asked: list[str], clients: int) -> tuple[list[str | None], list[float], float]:
    """As `alone`, by `clients` clients that share the questions; None for a reply that did not come."""
    answers: list[str | None] = [None] * len(asked)
    times, places = [], iter(range(len(asked)))
    async with AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=600) as client:

        async def ask(question: str) -> str | None:
            messages = [{"role": "user", "content": question}]
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

        await ask("warm up")
        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(clients)))
        return answers, times, time.perf_counter() - began


def row(name: str, clients: int, count: int, times: list[float], seconds: float) -> dict[str, object]:
    p50, p99 = np.quantile(times, [0.5, 0.99])
    return {"what": name, "clients": clients, "questions_a_second": round(count / seconds, 3),
            "p50_s": round(float(p50), 3), "p99_s": round(float(p99), 3)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    system, asked, rows = build(arguments.tokens), questions(arguments.questions), []
    expected: dict[str, str] = {}
    for clients in CLIENTS:
        part = asked[: max(clients, arguments.questions * min(clients, 8) // 8)]  # fewer where each takes longer
        answers, times, seconds = alone(system, part, clients)
        rows.append(row("engine alone", clients, len(part), times, seconds))
        expected |= dict(zip(part, answers, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        system.save(Path(folder) / "bench")
        words = [sys.executable, "-m", "hswarm.cli.main", "serve", str(Path(folder) / "bench"), "--port", "0",
                 "--timeout", "600"]  # fmt: skip
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as server:
            assert server.stdout
            address = server.stdout.readline().split("page ")[1].split("/,")[0]
            for clients in CLIENTS:
                part = asked[: max(clients, arguments.questions * min(clients, 8) // 8)]
                answers, times, seconds = asyncio.run(served(address, part, clients))
                same = sum(a == expected[q] for a, q in zip(answers, part, strict=True))
                lost = {"lost": answers.count(None), "as_the_engine_alone": same / len(part)}
                rows.append(row("hswarm serve", clients, len(part), times, seconds) | lost)
            server.terminate()
    result = {"machine": f"{platform.machine()}, {platform.python_version()}", "questions": arguments.questions,
              "nodes": system.topology.size, "new_tokens": arguments.tokens, "rows": rows}  # fmt: skip
    for one in rows:
        print(json.dumps(one))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
