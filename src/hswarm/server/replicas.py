"""Several workers behind one server: the batcher asks for as many batches at once as there are workers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from hswarm.engines.base import Completion, Engine, Request
from hswarm.engines.parallel import ParallelEngine
from hswarm.experts.adapter import Expert


class Replicas:
    """An engine of several workers, each with the whole model; one of its batches is one batch for each worker."""

    def __init__(self, engine: ParallelEngine) -> None:
        self._engine = engine

    @property
    def fingerprint(self) -> str:
        return self._engine.fingerprint

    def check(self, experts: Sequence[Expert]) -> None:
        self._engine.check(experts)

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        """The workers' batches, joined in groups of as many as there are workers."""
        made, workers = self._engine.batches(requests), self._engine.workers
        return [list(chain.from_iterable(made[i : i + workers])) for i in range(0, len(made), workers)]

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        return self._engine.generate(requests)

    def close(self) -> None:
        self._engine.close()


def spread_out(engine: Engine) -> Engine:
    """`engine`, asked for many batches at once if it has several workers."""
    return Replicas(engine) if isinstance(engine, ParallelEngine) else engine
