"""Several engines as one, for pools whose experts have different bases: each request goes to its expert's base."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from hswarm.engines.base import (
    Ask,
    Completion,
    Engine,
    IncrementalEngine,
    OutputEngine,
    Request,
    SpreadingEngine,
    StreamingEngine,
    close,
)
from hswarm.engines.multiple_choice import answer
from hswarm.errors import PoolError
from hswarm.experts.expert import Expert
from hswarm.experts.fusion import Callee


class MixedEngine:
    """Engines by the name of their base."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = dict(engines)

    @property
    def fingerprint(self) -> str:
        return "; ".join(dict.fromkeys(engine.fingerprint for engine in self._engines.values()))

    def check(self, experts: Sequence[Expert]) -> None:
        for base, places in self._by_base(experts).items():
            self._engines[base].check([experts[i] for i in places])

    def offers(self, expert: Callee) -> frozenset[str]:
        engine = self._engines[expert.base]
        return engine.offers(expert) if isinstance(engine, OutputEngine) else frozenset()

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        """Each engine's own batches, engine by engine."""
        return [
            [places[i] for i in batch]
            for base, places in self._by_base([request.expert for request in requests]).items()
            for batch in self._engines[base].batches([requests[i] for i in places])
        ]

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        return self._each(requests, lambda engine, own, places: answer(engine, own))

    def stream(self, requests: Sequence[Request], tell: Callable[[int, str], None]) -> list[Completion]:
        """As `generate`; replies of engines that can stream are told as they grow."""

        def reply(engine: Engine, own: Sequence[Request], places: Sequence[int]) -> list[Completion]:
            if not isinstance(engine, StreamingEngine):
                return answer(engine, own)
            return engine.stream(own, lambda i, text: tell(places[i], text))

        return self._each(requests, reply)

    def _each(
        self,
        requests: Sequence[Request],
        reply: Callable[[Engine, Sequence[Request], Sequence[int]], list[Completion]],
    ) -> list[Completion]:
        """What `reply` gives for each engine, its own requests and their places, in the order of `requests`."""
        made: dict[int, Completion] = {}
        for base, places in self._by_base([request.expert for request in requests]).items():
            own = [requests[i] for i in places]
            made.update(zip(places, reply(self._engines[base], own, places), strict=True))
        return [made[i] for i in range(len(requests))]

    def spread(
        self, batches: Sequence[Sequence[Request]], guarded: Callable[[Sequence[Request], Ask], list[Completion]]
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Run batches, each of one base: concurrently where an engine can, else one after another."""
        for base, places in self._by_base([batch[0].expert for batch in batches]).items():
            engine, own = self._engines[base], [batches[i] for i in places]
            if isinstance(engine, SpreadingEngine):
                yield from ((places[i], made) for i, made in engine.spread(own, guarded))
            else:
                yield from ((i, guarded(batches[i], partial(answer, engine))) for i in places)

    def close(self) -> None:
        for engine in self._engines.values():
            close(engine)

    @property
    def fault(self) -> str:
        """The last fault that an engine reports."""
        return next(filter(None, (getattr(engine, "fault", "") for engine in self._engines.values())), "")

    def arriving(self, request: Request) -> bool:
        engine = self._engines[request.expert.base]
        return isinstance(engine, IncrementalEngine) and engine.arriving(request)

    def arrive(self, requests: Sequence[Request], keep: Callable[[int, Completion], None]) -> None:
        engine = self._engines[requests[0].expert.base]  # a batch has one base
        assert isinstance(engine, IncrementalEngine)
        engine.arrive(requests, keep)

    def _by_base(self, experts: Sequence[Callee]) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {base: [] for base in self._engines}
        for i, expert in enumerate(experts):
            if expert.base not in places:
                raise PoolError(
                    f"expert '{expert.name}' is of base {expert.base or '(none)'}, the engine was opened "
                    f"for {', '.join(self._engines)}"
                )
            places[expert.base].append(i)
        return {base: found for base, found in places.items() if found}
