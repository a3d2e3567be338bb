"""Carries out many systems over many examples, each distinct call once.

Calls whose inputs are known run together: a wave is one stage of all systems. Within a wave equal calls are one call,
calls made before are looked up, and the rest goes to the engine in the batches it asks for. A batch is kept whole or
not at all, so an interrupted wave continues with the very batches it would have had. A failed call is never kept:
whoever asks for it again makes it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hswarm.engines.base import Completion, Engine, EngineSettings, IncrementalEngine, Request, SpreadingEngine
from hswarm.engines.retry import Guard, storable
from hswarm.errors import EngineError
from hswarm.experts.adapter import Expert
from hswarm.experts.composite import Script, Vote, width
from hswarm.system.cache import Cache, call_key
from hswarm.system.system import System
from hswarm.system.vote import agreed, majority
from hswarm.tasks.task import Example

_FEW = 50  # a wave of fewer calls is judged as if it had so many: one failed call of three is no sign of a dead engine


@dataclass
class Ledger:
    """What was spent: calls asked for = generated + reused; tokens of the generated ones; `skipped`: not asked.

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
    """Runs systems on an engine. `reuse` False makes every call anew, to check that reuse changes nothing.

    `settings` say what to do about faults (retries, timeout, max_failed); EngineError when that is no longer enough.
    `elsewhere` holds calls that others make too: taken from there they still count as generated here.
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
        """The last one of a call that failed, for the error that ends a search."""
        return (
            self.guard.fault
            or getattr(self.engine, "fault", "")
            or "an answer marked as failed or a rating that cannot be read"
        )

    def run(self, systems: Sequence[System], examples: Sequence[Example], step: str) -> list[list[list[Completion]]]:
        """Completions as [system][node][example]. `step` names this piece of work, once in a run."""
        transcripts: list[list[list[Completion]]] = [[[] for _ in system.experts] for system in systems]
        settled: list[dict[int, Completion]] = [{} for _ in systems]  # by example, where the leaves agree
        for stage in range(max((len(system.topology.stages) for system in systems), default=0)):
            places = [
                (s, node)
                for s, system in enumerate(systems)
                if stage < len(system.topology.stages)
                for node in system.topology.stages[stage]
            ]
            calling = [place for place in places if width(systems[place[0]].experts[place[1]])]
            requests, salts = [], []
            for s, node in calling:
                for e, example in enumerate(examples):
                    if e not in settled[s]:
                        requests.append(self._request(systems[s], node, example, transcripts[s], e))
                        salts.append("" if self.reuse else f"{step}/{s}/{node}/{e}")
            completions = iter(self._wave(requests, salts, f"{step}/{stage}"))
            for s, node in calling:
                transcripts[s][node] = [settled[s].get(e) or next(completions) for e in range(len(examples))]
                self._skip(width(systems[s].experts[node]) * len(settled[s]))
            for s, node in sorted(set(places) - set(calling)):
                heard = [transcripts[s][u] for u in systems[s].topology.predecessors(node)]
                said = _uncalled(systems[s].experts[node], examples, heard)
                transcripts[s][node] = [settled[s].get(e) or reply for e, reply in enumerate(said)]
            if stage == 0:
                settled = [self._settled(system, examples, transcripts[s]) for s, system in enumerate(systems)]
        return transcripts

    def _settled(
        self, system: System, examples: Sequence[Example], replies: list[list[Completion]]
    ) -> dict[int, Completion]:
        """What the leaves of a system agree on, by example, if it exits early then."""
        if not system.early_exit:
            return {}
        found = {}
        for e, example in enumerate(examples):
            leaves, asked = system.topology.stages[0], set()
            for leaf in leaves:
                expert = system.experts[leaf]
                call = self._request(system, leaf, example, replies, e) if width(expert) else None
                asked.add((expert.digest, call and (call.prompt, call.sampling)))
            if answer := agreed(example, asked, [replies[leaf][e] for leaf in leaves]):
                found[e] = answer
        return found

    def _skip(self, calls: int) -> None:
        """Count calls that need not be made."""
        self.ledger.skipped += calls
        self.progress(calls)

    def answer(self, requests: Sequence[Request], step: str) -> list[Completion]:
        """Completions of calls that belong to no system's node, in order."""
        return self._wave(requests, ["" if self.reuse else f"{step}/{i}" for i in range(len(requests))], step)

    def _request(self, system: System, node: int, example: Example, replies: list[list[Completion]], e: int) -> Request:
        responses = [replies[u][e].text for u in system.topology.predecessors(node)]
        callers = [u for u in system.topology.order if not isinstance(system.experts[u], Vote)]
        chunk = _chunk(example.context, callers.index(node), len(callers))
        prompt = system.prompts.render(example, responses, chunk=chunk)
        sampling = system.sampling_at(node).within(example.max_new_tokens)
        if sampling.choose and example.choices and node == system.topology.sink:
            return Request(system.experts[node], prompt, sampling, tuple(example.choices.items()))
        return Request(system.experts[node], prompt, replace(sampling, choose=""))

    def _wave(self, requests: Sequence[Request], salts: Sequence[str], step: str) -> list[Completion]:
        keys = [call_key(self.engine.fingerprint, *pair) for pair in zip(requests, salts, strict=True)]
        distinct = dict(zip(keys, requests, strict=True))
        known = self.cache.get(list(distinct))
        # What this very step has made counts as its own, so a resumed step batches and counts as an unbroken one.
        own = [key for key in distinct if key not in known or known[key].step == step]
        completions = {key: entry.completion for key, entry in known.items()}
        asked = Counter(keys)
        widths = {key: width(request.expert) for key, request in distinct.items()}
        self.progress(len(keys) - sum(asked[key] for key in own))
        missing, failed = [], 0
        for batch in self.engine.batches([distinct[key] for key in own]):
            batch_keys = [own[i] for i in batch]
            if isinstance(self.engine, IncrementalEngine) and self.engine.arriving(distinct[batch_keys[0]]):
                self._arrive({key: distinct[key] for key in batch_keys}, completions, step, (failed, len(own)))
                failed += _failed([completions[key] for key in batch_keys])
            elif any(key not in completions for key in batch_keys):
                missing.append(batch_keys)
                continue
            self.progress(sum(asked[key] for key in batch_keys))
        for made in self._made(missing, distinct, step):
            self.cache.put(made, step)
            completions |= made
            failed += _failed(made.values())
            self._stop_if_dead(failed, len(own), step)
            self.progress(sum(asked[key] for key in made))
        self._account(sum(widths[key] for key in keys), {key: completions[key] for key in own}, widths)
        return [completions[key] for key in keys]

    def _made(
        self, batches: list[list[bytes]], calls: Mapping[bytes, Request], step: str
    ) -> Iterator[dict[bytes, Completion]]:
        """Completions of `batches` of keys, as they come; those that `elsewhere` has, first."""
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
        """(i, the completions of batch i), one after another or in the order in which workers are done."""
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
        self, calls: Mapping[bytes, Request], completions: dict[bytes, Completion], step: str, so_far: tuple[int, int]
    ) -> None:
        """Make those of `calls` that are still missing, and keep each as it comes.

        `so_far` is how many of the wave's calls have failed before, and how many it has.
        """
        missing = [key for key in calls if key not in completions]
        failed, count = so_far

        def keep(i: int, completion: Completion) -> None:
            nonlocal failed
            completions[missing[i]] = completion = storable(completion)
            self.cache.put({missing[i]: completion}, step)
            failed += completion.finish == "failed"
            self._stop_if_dead(failed, count, step)

        if missing:
            assert isinstance(self.engine, IncrementalEngine)
            self.engine.arrive([calls[key] for key in missing], keep)

    def _account(self, requested: int, made: Mapping[bytes, Completion], widths: Mapping[bytes, int]) -> None:
        self.ledger.requested += requested
        self.ledger.generated += sum(widths[key] for key in made)
        self.ledger.failed += _failed(made.values())
        self.ledger.prompt_tokens += sum(completion.prompt_tokens for completion in made.values())
        self.ledger.completion_tokens += sum(completion.completion_tokens for completion in made.values())


def _failed(made: Iterable[Completion]) -> int:
    return sum(completion.finish == "failed" for completion in made)


def _uncalled(expert: Expert, examples: Sequence[Example], heard: Sequence[list[Completion]]) -> list[Completion]:
    """What a node says that asks no model: a script's lines, or the majority of what it heard."""
    if isinstance(expert, Script):
        return [Completion(expert.lines[example.id], "stop", 0, 0) for example in examples]
    return [majority(*pair) for pair in zip(examples, zip(*heard, strict=True), strict=True)]


def _chunk(context: Sequence[str], place: int, nodes: int) -> str:
    """The share of the node at `place`: chunks are dealt out in turn; where there are fewer than nodes they repeat."""
    if not context:
        return ""
    return "\n".join(chunk for chunk in context[place::nodes] or [context[place % len(context)]] if chunk)
