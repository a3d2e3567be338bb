"""Does `hswarm serve` stay whole under mixed clients and an engine that breaks? On this machine's loopback alone.

    python benchmarks/soak.py --seconds 3600 --pace 40 [--json docs/soak.json]

The server is the real command, over the toy engine, slowed down and with faults put in: one batch of fifty raises, one
of two hundred has no memory, one of two thousand takes longer than a reply may, one call of a hundred has no reply.
Clients ask `--pace` questions a second: whole, streamed, by /v1/responses, in threes, with very long questions; they
send broken bodies and byte after byte, hang up in the middle, and hold connections open in silence. Every reply that
was begun must end with the right answer or with an error that says why; memory and open files are read from /proc
(Linux).
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
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from openai import APIError, APIStatusError, AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from hswarm.core.topology import Topology
from hswarm.engines.base import Completion, EngineSettings, Request
from hswarm.engines.toy import ToyEngine, toy_pool
from hswarm.system.system import System
from hswarm.tasks.toy import generate

KINDS = {
    "whole": 0.28,
    "streamed": 0.25,
    "responses": 0.15,
    "three": 0.1,
    "broken": 0.08,
    "hang up": 0.06,
    "silent": 0.04,
    "dripping": 0.02,
    "long": 0.02,
}
LIMIT, HANG = 2.0, 3.0  # seconds that a reply may take, and that the engine hangs now and then


class Breaking(ToyEngine):
    """The toy engine, slower, which now and then breaks or leaves a call without a reply."""

    def __init__(self, settings: EngineSettings, base: str = "") -> None:
        super().__init__(settings, base)
        self._rng = np.random.default_rng(0)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        fate = self._rng.random()
        time.sleep(HANG if fate < 0.0005 else 0.002)
        if fate > 0.98:
            raise RuntimeError("a fault put in")
        if fate > 0.975:
            raise MemoryError("no memory, put in")
        made = super().generate(requests)
        lost = self._rng.random(len(made)) < 0.01
        return [Completion("", "failed", 0, 0) if gone else one for one, gone in zip(made, lost, strict=True)]


class Soak:
    """Clients of every kind at one server, and what became of each request."""

    def __init__(self, client: AsyncOpenAI, address: str, system: System) -> None:
        self.client, self.place = client, address.removeprefix("http://").split(":")
        self.ends: Counter[str] = Counter()
        examples = generate(64, 0)
        answers = system.respond([example.question for example in examples], ToyEngine(EngineSettings("toy")))
        self.known = dict(zip([example.question for example in examples], answers, strict=True))

    async def one(self, kind: str, question: str) -> None:
        try:
            said = await self._ask(kind, question)
            right = said is None or said == self.known[question]
            self.ends[f"{kind}: {'as it should be' if right else 'WRONG'}"] += 1
        except APIStatusError as fault:
            body = fault.body if isinstance(fault.body, dict) else {}
            self.ends[f"{kind}: refused, {fault.status_code}" if body.get("message") else f"{kind}: WORDLESS"] += 1
        except APIError as fault:
            told = type(fault) is APIError and fault.message
            self.ends[f"{kind}: ended by an error in the stream" if told else f"{kind}: LOST"] += 1
        except (OSError, asyncio.IncompleteReadError):
            self.ends[f"{kind}: LOST"] += 1

    async def _ask(self, kind: str, question: str) -> str | None:
        messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": question}]
        if kind == "streamed":
            parts = await self.client.chat.completions.create(model="soak", messages=messages, stream=True)
            return "".join([part.choices[0].delta.content or "" async for part in parts])
        if kind == "responses":
            return (await self.client.responses.create(model="soak", input=question)).output_text
        if kind in ("broken", "hang up", "silent", "dripping"):
            await self._raw(kind, question)
            return None
        if kind == "long":
            messages.insert(0, {"role": "user", "content": "word " * 8000})
            await self.client.chat.completions.create(model="soak", messages=messages)
            return None
        reply = await self.client.chat.completions.create(
            model="soak", messages=messages, n=3 if kind == "three" else 1
        )
        texts = {choice.message.content for choice in reply.choices}
        return texts.pop() if len(texts) == 1 else ""

    async def _raw(self, kind: str, question: str) -> None:
        reader, writer = await asyncio.open_connection(self.place[0], int(self.place[1]))
        try:
            if kind == "silent":
                await asyncio.sleep(3)
                return
            content = json.dumps({"model": "soak", "stream": True, "messages": [{"role": "user", "content": question}]})
            body = (
                b'{"model": "soak", "messages": [{"role": "user", "content": "\\ud800"}]}'
                if kind == "broken"
                else content.encode()
            )
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n\r\n"
            if kind == "dripping":  # never a whole head: the server must end it
                for byte in head.encode()[:-3]:
                    writer.write(bytes([byte]))
                    if await _ended(reader):
                        return
                raise OSError("a connection whose request is never whole was kept open")
            writer.write(head.encode() + body)
            first = await reader.readline()
            assert first.startswith(b"HTTP/1.1 400" if kind == "broken" else b"HTTP/1.1 200"), first
        finally:
            writer.close()


async def _ended(reader: asyncio.StreamReader) -> bool:
    """Whether the other side ends the connection within a quarter of a second."""
    try:
        async with asyncio.timeout(0.25):
            return not await reader.read(1)
    except TimeoutError:
        return False
    except OSError:
        return True


def state(pid: int) -> dict[str, float]:
    """Resident memory in MiB and open files of a process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return {"mib": int(line.split()[1]) / 1024, "files": len(os.listdir(f"/proc/{pid}/fd"))}


async def soak(
    address: str, pid: int, system: System, seconds: float, pace: float
) -> tuple[Counter[str], list[dict[str, float]]]:
    rng, states, began, under_way = np.random.default_rng(1), [], time.monotonic(), set()
    async with AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=60) as client:
        run = Soak(client, address, system)
        questions, looked = list(run.known), 0.0
        while (now := time.monotonic() - began) < seconds:
            kind, question = rng.choice([*KINDS], p=[*KINDS.values()]), questions[rng.integers(len(questions))]
            task = asyncio.create_task(run.one(str(kind), question))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            if now - looked >= seconds / 60:
                looked = now
                states.append({"second": round(now)} | state(pid))
            await asyncio.sleep(rng.exponential(1 / pace))
        await asyncio.gather(*under_way)
    await asyncio.sleep(1)
    states.append({"second": round(time.monotonic() - began)} | state(pid))
    return run.ends, states


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pace", type=float, default=40, help="questions a second at most")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    engine = "soak:Breaking"
    system = System(
        Topology.of(4, [(0, 2), (1, 2), (2, 3)]), toy_pool(4).experts, base="toy", engine=EngineSettings(engine)
    )
    with tempfile.TemporaryDirectory() as folder:
        system.save(Path(folder) / "soak")
        words = [sys.executable, "-m", "hswarm.cli.main", "serve", f"{folder}/soak", "--port", "0", "--allow", engine]
        words += ["--timeout", str(LIMIT)]
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=Path(__file__).parent
        ) as server:
            assert server.stdout
            address = server.stdout.readline().split("page ")[1].split("/,")[0]
            ends, states = asyncio.run(soak(address, server.pid, system, arguments.seconds, arguments.pace))
            server.terminate()
            status = server.wait(60)
    settled = states[len(states) // 4 :]
    result = {
        "machine": f"{platform.machine()}, {platform.python_version()}",
        "seconds": arguments.seconds,
        "requests": ends.total(),
        "ends": dict(sorted(ends.items())),
        "exit_status": status,
        "mib": [round(states[0]["mib"], 1), round(settled[0]["mib"], 1), round(states[-1]["mib"], 1)],
        "files": [states[0]["files"], max(one["files"] for one in states), states[-1]["files"]],
        "states": states,
    }
    print(json.dumps({key: value for key, value in result.items() if key != "states"}, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return int(status != 0 or any(word in end for end in ends for word in ("WRONG", "WORDLESS", "LOST")))


if __name__ == "__main__":
    sys.exit(main())
