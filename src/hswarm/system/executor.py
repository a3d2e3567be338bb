"""Runs many systems over many examples, making each distinct call once.

Calls whose inputs are known run together: a wave is one stage of all systems. Within a wave equal calls are one call,
calls made before are looked up, and the rest goes to the engine in the batches it asks for. A batch is kept whole or
not at all, so an interrupted wave continues with the same batches as an unbroken one. A failed call is never kept:
it is made again when it is next needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from hswarm.engines.base import Completion, Engine, EngineSettings, IncrementalEngine, Request, SpreadingEngine
from hswarm.engines.retry import Guard, storable
from hswarm.errors import EngineError
from hswarm.system.cache import Cache, call_key
from hswarm.system.execution import Execution, Plan, Wiring
from hswarm.tasks.task import Example

_FEW = 50  # calls, the least that max_failed is a share of: one failed call of three is no sign of a dead engine


@dataclass
class Ledger:
    """Calls and tokens spent: calls requested = generated + reused; tokens of the generated ones; `skipped`: left out.

    A fusion's reply is a call a part.
    """

    requested: int = 0
    generated: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    skipped: int = 0

    @property
    def reused(self) -> int:
        return self.requested - self.generated


@dataclass
class Executor:
    """Runs systems on an engine. `reuse` False repeats every call, to check that reuse changes nothing.

    `settings` control the handling of faults (retries, timeout, max_failed); EngineError beyond these limits.
    `elsewhere` holds calls shared with other runs: taken from there, they still count as generated here.
    """

    engine: Engine
    cache: Cache = field(default_factory=Cache)
    reuse: bool = True
    ledger: Ledger = field(default_factory=Ledger)
    progress: Callable[[int], None] = lambda calls: None
    settings: EngineSettings = field(default_factory=EngineSettings)
    elsewhere: Cache | None = None
    guard: Guard = field(init=False)

    def __post_init__(self) -> None:
        self.guard = Guard(self.engine, self.settings.retries, self.settings.timeout)

    @property
    def fault(self) -> str:
        """The fault of the last failed call, for the error that ends a search."""
        return (
            self.guard.fault
            or getattr(self.engine, "fault", "")
            or "an answer marked as failed or a rating that cannot be read"
        )

    def run(
        self,
        systems: Sequence[Wiring],
        examples: Sequence[Example],
        step: str,
        answered: Callable[[Example, str], None] = lambda example, answer: None,
    ) -> list[list[list[Completion]]]:
        """Completions as [system][node][example]. `step` names this piece of work, once in a run.

        `answered` is called with each system's answer to each example as soon as it is there, if a call led to it.
        """
        executions = [[Execution(plan, example) for example in examples] for plan in map(Plan, systems)]
        self._pass(systems, executions, step, answered)
        turns = count(1)  # a route asks one system, then perhaps another
        while any(execution.answer is None for row in executions for execution in row):
            self._pass(systems, executions, f"{step}/turn{next(turns)}", answered)
        return [
            [[execution.replies[node] or _SKIPPED for execution in row] for node in range(system.topology.size)]
            for system, row in zip(systems, executions, strict=True)
        ]

    def _pass(
        self,
        systems: Sequence[Wiring],
        executions: Sequence[Sequence[Execution]],
        step: str,
        answered: Callable[[Example, str], None],
    ) -> None:
        """Make the calls that are wanted now, stage by stage."""
        for stage in range(max((len(system.topology.stages) for system in systems), default=0)):
            places = [
                (s, node, e)
                for s, system in enumerate(systems)
                if stage < len(system.topology.stages)
                for node in system.topology.stages[stage]
                if system.nodes[node].calls
                for e, execution in enumerate(executions[s])
                if execution.is_ready(node)
            ]
            requests = [executions[s][e].request(node) for s, node, e in places]
            salts = ["" if self.reuse else f"{step}/{s}/{node}/{e}" for s, node, e in places]
            waiting = [(executions[s][e], node) for s, node, e in places]
            self._wave(requests, salts, f"{step}/{stage}", partial(_tell, waiting, answered))

    def answer(self, requests: Sequence[Request], step: str) -> list[Completion]:
        """Completions of calls that belong to no system's node, in order."""
        made: dict[int, Completion] = {}
        salts = ["" if self.reuse else f"{step}/{i}" for i in range(len(requests))]
        self._wave(requests, salts, step, made.__setitem__)
        return [made[i] for i in range(len(requests))]

    def _wave(
        self, requests: Sequence[Request], salts: Sequence[str], step: str, tell: Callable[[int, Completion], None]
    ) -> None:
        """`tell(i, completion)` is called once for each request i, as soon as its completion is known and kept."""
        keys = [call_key(self.engine.fingerprint, *pair) for pair in zip(requests, salts, strict=True)]
        distinct = dict(zip(keys, requests, strict=True))
        known = self.cache.get(list(distinct))
        # Calls that this step has made count as its own, so a resumed step batches and counts as an unbroken one.
        own = [key for key in distinct if key not in known or known[key].step == step]
        places: dict[bytes, list[int]] = {}
        for i, key in enumerate(keys):
            places.setdefault(key, []).append(i)
        completions = {key: entry.completion for key, entry in known.items()}

        def take(found: Mapping[bytes, Completion]) -> None:
            completions.update(found)
            for key, completion in found.items():
                for i in places[key]:
                    tell(i, completion)

        take({key: entry.completion for key, entry in known.items() if entry.step != step})
        widths = {key: request.expert.calls for key, request in distinct.items()}
        self.progress(len(keys) - sum(len(places[key]) for key in own))
        missing, failed = [], 0
        for batch in self.engine.batches([distinct[key] for key in own]):
            batch_keys = [own[i] for i in batch]
            kept = {key: completions[key] for key in batch_keys if key in completions}
            if isinstance(self.engine, IncrementalEngine) and self.engine.arriving(distinct[batch_keys[0]]):
                take(kept)
                left = {key: distinct[key] for key in batch_keys if key not in kept}
                self._arrive(left, take, step, (failed, len(own)))
                failed += _failed([completions[key] for key in batch_keys])
            elif len(kept) < len(batch_keys):
                missing.append(batch_keys)  # all of them are made again
                continue
            else:
                take(kept)
            self.progress(sum(len(places[key]) for key in batch_keys))
        for made in self._made(missing, distinct, step):
            self.cache.put(made, step)
            take(made)
            failed += _failed(made.values())
            self._stop_if_dead(failed, len(own), step)
            self.progress(sum(len(places[key]) for key in made))
        self._account(sum(widths[key] for key in keys), {key: completions[key] for key in own}, widths)

    def _made(
        self, batches: list[list[bytes]], calls: Mapping[bytes, Request], step: str
    ) -> Iterator[dict[bytes, Completion]]:
        """Completions of `batches` of keys, as they finish; those that `elsewhere` has come first."""
        elsewhere = self.elsewhere if self.reuse else None
        if elsewhere:
            keys = [key for batch in batches for key in batch]
            found = {key: entry.completion for key, entry in elsewhere.get(keys).items()}
            if found:
                yield found
            left = [key for key in keys if key not in found]
            batches = [[left[i] for i in batch] for batch in self.engine.batches([calls[key] for key in left])]
        for i, replies in self._make([[calls[key] for key in batch] for batch in batches]):
            made = dict(zip(batches[i], replies, strict=True))
            if elsewhere:
                elsewhere.put(made, step)
            yield made

    def _make(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Completion]]]:
        """(i, the completions of batch i), in order, or in the order in which workers finish them."""
        if isinstance(self.engine, SpreadingEngine):
            yield from self.engine.spread(batches, self.guard.generate)
        else:
            yield from ((i, self.guard.generate(batch)) for i, batch in enumerate(batches))

    def _stop_if_dead(self, failed: int, calls: int, step: str) -> None:
        most = self.settings.max_failed
        if failed > most * max(calls, _FEW):
            raise EngineError(
                f"{failed} of {calls} calls of step {step} failed, more than engine.max_failed = {most:g} "
                f"allows; the last fault was: {self.fault}; "
                "see the engine, then resume the run"
            )

    def _arrive(
        self,
        missing: Mapping[bytes, Request],
        take: Callable[[Mapping[bytes, Completion]], None],
        step: str,
        so_far: tuple[int, int],
    ) -> None:
        """Make the calls of `missing`, and keep and `take` each as it arrives.

        `so_far` is how many of the wave's calls have failed before, and how many it has.
        """
        keys = list(missing)
        failed, count = so_far

        def keep(i: int, completion: Completion) -> None:
            nonlocal failed
            arrived = {keys[i]: storable(completion)}
            self.cache.put(arrived, step)
            take(arrived)
            failed += completion.finish == "failed"
            self._stop_if_dead(failed, count, step)

        if missing:
            assert isinstance(self.engine, IncrementalEngine)
            self.engine.arrive(list(missing.values()), keep)

    def _account(self, requested: int, made: Mapping[bytes, Completion], widths: Mapping[bytes, int]) -> None:
        self.ledger.requested += requested
        self.ledger.generated += sum(widths[key] for key in made)
        self.ledger.failed += _failed(made.values())
        self.ledger.prompt_tokens += sum(completion.prompt_tokens for completion in made.values())
        self.ledger.completion_tokens += sum(completion.completion_tokens for completion in made.values())


def _tell(
    waiting: Sequence[tuple[Execution, int]], answered: Callable[[Example, str], None], i: int, reply: Completion
) -> None:
    execution, node = waiting[i]
    execution.tell(node, reply)
    if execution.answer is not None:
        answered(execution.example, execution.answer.text)


def _failed(made: Iterable[Completion]) -> int:
    return sum(completion.finish == "failed" for completion in made)


_SKIPPED = Completion("", "skipped", 0, 0)
