"""One engine in several worker processes, each with its own copy of the base model, so several devices act as one.

Batches are those that the engine itself proposes, so replies equal those of one process; where no reply depends on its
batch they are divided, so that no worker waits while another has many calls. Which worker gets a batch is the router's
business. An expert is sent to a worker when first needed there and kept until memory is short.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import filterfalse, pairwise
from typing import Any

import numpy as np

from hswarm.engines.base import Ask, Completion, Engine, EngineSettings, Output, OutputEngine, Request, Sampling
from hswarm.engines.multiple_choice import answer
from hswarm.engines.single import by_base, open_single
from hswarm.errors import EngineError
from hswarm.experts.adapter import Adapter
from hswarm.experts.expert import Expert
from hswarm.experts.fusion import Callee, Fusion
from hswarm.workers.pool import WorkerPool
from hswarm.workers.router import Work
from hswarm.workers.worker import Worker, WorkerLost

_ROOM = 4 * 2**30  # bytes of experts that a worker keeps
_NOTHING = np.zeros(0, dtype=np.float32)
_FEW = 4  # calls that are not divided any more

Call = tuple[str, str, Sampling, tuple[tuple[str, str], ...], Output]  # a request, its expert by digest alone


class ParallelEngine:
    """An engine whose batches `workers` answer in parallel; `open_bench` made the object in each."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._team = WorkerPool(workers)
        weakref.finalize(self, self._team.close)
        self._held: dict[Worker, _Held] = {worker: _Held() for worker in workers}
        self._divides = False
        self._replies: dict[str, tuple[int, int]] = {}  # by expert's name: calls and their completion tokens so far
        self._fingerprint: str = self._ask_any("fingerprint")

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def workers(self) -> int:
        """How many workers there will be once all have started; `ready` counts those that have."""
        return len(self._team.workers)

    @property
    def ready(self) -> int:
        return self._team.ready

    @property
    def deaths(self) -> int:
        """How many workers died and were restarted."""
        return self._team.deaths

    def check(self, experts: Sequence[Expert]) -> None:
        shared = {expert.digest: expert for expert in experts}
        self._ask_any("check", [(expert.digest, expert.name) for expert in experts], shared=shared)

    def offers(self, expert: Callee) -> frozenset[str]:
        found: frozenset[str] = self._ask_any("offers", expert.digest, shared={expert.digest: expert})
        return found

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        """The batches of the engine itself, which sees experts without their weights here."""
        if not requests:
            return []
        experts = {r.expert.digest: _outline(r.expert) for r in requests}
        batches: list[list[int]] = self._ask_any("batches", list(experts.values()), [_call(r) for r in requests])
        if not self._divides:
            return batches

        def fused(batch: Sequence[int]) -> bool:
            return isinstance(requests[batch[0]].expert, Fusion)  # another engine's

        return [*filter(fused, batches), *divided([*filterfalse(fused, batches)], self.workers)]

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        batches = self.batches(requests)
        made: dict[int, Completion] = {}
        for i, replies in self.spread([[requests[k] for k in batch] for batch in batches], _unguarded):
            made.update(zip(batches[i], replies, strict=True))
        return [made[i] for i in range(len(requests))]

    def spread(
        self, batches: Sequence[Sequence[Request]], guarded: Callable[[Sequence[Request], Ask], list[Completion]]
    ) -> Iterator[tuple[int, list[Completion]]]:
        """As in SpreadingEngine. A batch that kills worker after worker is retried call by call."""

        def ask(worker: Worker, i: int) -> list[Completion]:
            return guarded(batches[i], partial(self._ask, worker))

        def one_by_one(worker: Worker, i: int) -> list[Completion]:
            return [made for request in batches[i] for made in self._careful(worker, request, guarded)]

        work = [Work(batch[0].expert.digest, sum(map(self._tokens, batch))) for batch in batches]
        for i, made in self._team.each(work, ask, one_by_one):
            self._learn(batches[i], made)
            yield i, made

    def close(self) -> None:
        """End the workers."""
        self._team.close()

    def _ask(self, worker: Worker, requests: Sequence[Request]) -> list[Completion]:
        held = self._held[worker]
        experts = {request.expert.digest: request.expert for request in requests}
        drop = held.make_room(experts, worker.lives)
        new = {digest: expert for digest, expert in experts.items() if digest not in held.sizes}
        made: list[Completion]
        made, self._divides = worker.call("answer", [_call(r) for r in requests], drop, shared=new)
        held.take(experts)
        return made

    def _careful(
        self, worker: Worker, request: Request, guarded: Callable[[Sequence[Request], Ask], list[Completion]]
    ) -> list[Completion]:
        try:
            return guarded([request], partial(self._ask, worker))
        except WorkerLost:
            worker.start()
            return [Completion("", "failed", 0, 0)]

    def _ask_any(self, method: str, *arguments: object, shared: Mapping[str, object] | None = None) -> Any:
        """Ask a ready worker between waves; if it dies, the next one."""
        for _ in range(len(self._held) + 2):
            worker = self._team.first()
            try:
                return worker.call(method, *arguments, shared=shared or {})
            except WorkerLost as fault:
                lost = fault
                self._team.lost(worker)
        raise lost

    def _tokens(self, request: Request) -> float:
        """The expected tokens of a call: the prompt's by its length, the reply's by its expert's replies so far."""
        calls, tokens = self._replies.get(request.expert.name, (0, 0))
        reply = min(tokens / calls if calls else request.sampling.max_new_tokens, request.sampling.max_new_tokens)
        return len(request.prompt) / 4 + (1 if request.options else reply)

    def _learn(self, requests: Sequence[Request], made: Sequence[Completion]) -> None:
        for request, reply in zip(requests, made, strict=True):
            calls, tokens = self._replies.get(request.expert.name, (0, 0))
            self._replies[request.expert.name] = calls + 1, tokens + reply.completion_tokens


@dataclass(eq=False)
class _Held:
    """The experts that a worker holds, most recently used last, and their bytes."""

    sizes: OrderedDict[str, int] = field(default_factory=OrderedDict)
    life: int = 0

    def make_room(self, experts: Mapping[str, Callee], life: int) -> list[str]:
        """The experts that the worker must drop to make room for `experts`; after a restart (`life`) it holds none."""
        if life != self.life:
            self.life = life
            self.sizes.clear()
        more = sum(_bytes(expert) for digest, expert in experts.items() if digest not in self.sizes)
        drop = []
        for digest in [digest for digest in self.sizes if digest not in experts]:
            if sum(self.sizes.values()) + more <= _ROOM:
                break
            drop.append(digest)
            del self.sizes[digest]
        return drop

    def take(self, experts: Mapping[str, Callee]) -> None:
        for digest, expert in experts.items():
            self.sizes[digest] = _bytes(expert)
            self.sizes.move_to_end(digest)


class EngineWorker:
    """A worker's side: the engine, and the experts received so far."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._experts = engine, dict[str, Callee]()

    def fingerprint(self, shared: Mapping[str, Callee]) -> str:
        return self._engine.fingerprint

    def check(self, experts: Sequence[tuple[str, str]], shared: Mapping[str, Expert]) -> None:
        self._engine.check([shared[digest].renamed(name) for digest, name in experts])

    def offers(self, digest: str, shared: Mapping[str, Callee]) -> frozenset[str]:
        return self._engine.offers(shared[digest]) if isinstance(self._engine, OutputEngine) else frozenset()

    def batches(
        self, experts: Sequence[Adapter], calls: Sequence[Call], shared: Mapping[str, Callee]
    ) -> list[list[int]]:
        known = {expert.digest: expert for expert in experts}
        return self._engine.batches([Request(known[call[0]], *call[1:]) for call in calls])

    def answer(
        self, calls: Sequence[Call], drop: Sequence[str], shared: Mapping[str, Callee]
    ) -> tuple[list[Completion], bool]:
        """The completions, and whether they depend on nothing else in their batch."""
        for digest in drop:
            del self._experts[digest]
        self._experts.update(shared)
        made = answer(self._engine, [Request(self._experts[call[0]], *call[1:]) for call in calls])
        return list(made), getattr(self._engine, "divisible", False)


def divided(batches: Sequence[Sequence[int]], workers: int) -> list[list[int]]:
    """`batches` in even pieces, none with more than a worker's share of the calls, unless these are few."""
    most = max(_FEW, -(-sum(map(len, batches)) // workers))
    found: list[list[int]] = []
    for batch in batches:
        pieces = -(-len(batch) // most)
        ends = [len(batch) * k // pieces for k in range(pieces + 1)]
        found += [list(batch[start:end]) for start, end in pairwise(ends)]
    return found


def open_bench(settings: EngineSettings, bases: Sequence[str]) -> EngineWorker:
    """The engine of `settings` in this process, for a ParallelEngine."""
    return EngineWorker(by_base(bases, partial(open_single, settings.alone())))


def _outline(callee: Callee) -> Adapter:
    """What batches depend on of an expert or a fusion: an adapter of its form, without numbers."""
    form = callee.form if isinstance(callee, Adapter) else None
    return Adapter(callee.name, callee.digest, callee.base, form, vector=_NOTHING)


def _call(request: Request) -> Call:
    return request.expert.digest, request.prompt, request.sampling, request.options, request.output


def _unguarded(requests: Sequence[Request], ask: Ask) -> list[Completion]:
    made = ask(requests)
    if len(made) != len(requests):
        raise EngineError(f"the engine gave {len(made)} completions to {len(requests)} requests")
    return made


def _bytes(callee: Callee) -> int:
    return sum(expert.nbytes for expert in callee.experts)
