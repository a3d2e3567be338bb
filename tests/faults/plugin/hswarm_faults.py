"""An engine plug-in that answers as the toy engine does, and fails as FAULTS (JSON in the environment) says.

slow: seconds a call.  raise/empty/garbage: share of prompts that are answered so, each time.  flaky: share of prompts
whose first answer raises.  memory: more calls than this at once are out of memory.  hang: prompts to answer before
a call never returns.  short: one completion too few.  worker: replies come from a process that dies after so many
batches.
"""

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from hswarm.engines.base import Completion, EngineSettings, Request
from hswarm.engines.toy import ToyEngine


class FaultyEngine(ToyEngine):
    def __init__(self, settings: EngineSettings, base: str = "") -> None:
        super().__init__(settings, base)
        self.faults: dict[str, Any] = json.loads(os.environ.get("FAULTS", "{}"))
        self.seen = set[str]()
        self.pipe: Connection | None = None

    @property
    def fingerprint(self) -> str:
        return "faulty/1"

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        time.sleep(self.faults.get("slow", 0) * len(requests))
        if len(requests) > self.faults.get("memory", len(requests)):
            raise MemoryError(f"{len(requests)} calls do not fit")
        if "hang" in self.faults and len(self.seen) >= self.faults["hang"]:
            time.sleep(3600)
        if "worker" in self.faults:
            return self._by_worker(requests)
        made = [self._one(request, reply) for request, reply in zip(requests, super().generate(requests), strict=True)]
        return made[:-1] if "short" in self.faults else made

    def _one(self, request: Request, reply: Completion) -> Completion:
        key = hashlib.sha256((request.expert.digest + request.prompt).encode())
        share = int.from_bytes(key.digest()[:4]) / 2**32
        if "by others" not in request.prompt:  # what every system asks breaks last
            share = (1 + share) / 2
        first = request.prompt not in self.seen
        self.seen.add(request.prompt)
        if share < self.faults.get("raise", 0) or (first and share < self.faults.get("flaky", 0)):
            raise RuntimeError("the engine broke on this prompt")
        if share < self.faults.get("empty", 0):
            return Completion("", "stop", reply.prompt_tokens, 0)
        if share < self.faults.get("garbage", 0):
            return Completion("\x1b[31m\x00\ud800<script>" + "\u202e" * 50, "stop", reply.prompt_tokens, 9)
        return reply

    def _by_worker(self, requests: Sequence[Request]) -> list[Completion]:
        if self.pipe is None:
            context = multiprocessing.get_context("fork")
            self.pipe, child = context.Pipe()
            context.Process(target=_serve, args=(child, self.faults["worker"]), daemon=True).start()
            child.close()
        self.pipe.send(super().generate(requests))
        made: list[Completion] = self.pipe.recv()
        return made


def _serve(pipe: Connection, batches: int) -> None:
    for _ in range(batches):
        pipe.send(pipe.recv())
    os.kill(os.getpid(), 9)
