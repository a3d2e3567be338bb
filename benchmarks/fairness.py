"""Short questions beside a long one: how long do they wait in `hswarm serve`?

    OMP_NUM_THREADS=1 python benchmarks/fairness.py [--seconds 90] [--characters 12000] [--json docs/fairness.json]

SmolLM2 with four experts of the starter pool, four nodes. First four clients ask short questions, each the next when it
has its reply; then the same while a fifth client asks one long question after another, all from one address.
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
from contextlib import suppress
from pathlib import Path

import numpy as np
from openai import AsyncOpenAI

sys.path.insert(0, str(Path(__file__).parent))
from serving import build, questions

CLIENTS = 4


async def ask(client: AsyncOpenAI, question: str) -> float:
    began = time.perf_counter()
    await client.chat.completions.create(model="bench", messages=[{"role": "user", "content": question}])
    return time.perf_counter() - began


async def measure(address: str, seconds: float, long: str) -> tuple[list[float], list[float]]:
    """Seconds of each short request, and of each long one if there is a `long` question."""
    short, beside = list[float](), list[float]()
    asked, end = iter(questions(4096, False)), time.perf_counter() + seconds
    async with AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=900) as client:

        async def one() -> None:
            while time.perf_counter() < end:
                short.append(await ask(client, next(asked)))

        async def longs() -> None:
            for i in range(1000):
                beside.append(await ask(client, f"{i} {long}"))

        await ask(client, next(asked))
        other = asyncio.create_task(longs()) if long else None
        await asyncio.gather(*(one() for _ in range(CLIENTS)))
        if other:
            other.cancel()
            with suppress(asyncio.CancelledError):
                await other
    return short, beside


def row(name: str, short: list[float], beside: list[float]) -> dict[str, object]:
    p50, p90, worst = np.quantile(short, [0.5, 0.9, 1]).round(2).tolist()
    return {"what": name, "short": len(short), "p50_s": p50, "p90_s": p90, "worst_s": worst, "long": len(beside)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--characters", type=int, default=12_000, help="of the long question")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    text = "The sum of the numbers that follow is asked for. "
    long = (text * (arguments.characters // len(text) + 1))[: arguments.characters] + "1 + 1 ="
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        build(8, False).save(Path(folder) / "bench")
        words = [sys.executable, "-m", "hswarm.cli.main", "serve", f"{folder}/bench", "--port", "0", "--timeout", "900"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as server:
            assert server.stdout
            address = server.stdout.readline().split("page ")[1].split("/,")[0]
            for name, beside in (("short alone", ""), ("beside long ones", long)):
                rows.append(row(name, *asyncio.run(measure(address, arguments.seconds, beside))))
                print(json.dumps(rows[-1]), flush=True)
            server.terminate()
    result = {"machine": f"{platform.machine()}, {platform.python_version()}", "clients": CLIENTS}
    result |= {"characters": arguments.characters, "rows": rows}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
