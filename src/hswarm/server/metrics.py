"""Metrics for Prometheus, at /metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from hswarm.engines.base import Completion

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of one server."""

    def __init__(self, in_flight: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "hswarm_requests", "Requests by endpoint and HTTP status", ["endpoint", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "hswarm_request_seconds",
            "Time from request to the end of the reply",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._calls = Counter(
            "hswarm_calls", "Calls of nodes: generated, or shared with an equal one", ["how"], registry=self._registry
        )
        self._tokens = Counter("hswarm_tokens", "Tokens of generated calls", ["kind"], registry=self._registry)
        self._batch = Histogram(
            "hswarm_batch_calls", "Calls in a batch", buckets=(1, 2, 4, 8, 16, 32, 64), registry=self._registry
        )
        self._engine = Counter("hswarm_engine_seconds", "Time in the engine", registry=self._registry)
        Gauge("hswarm_in_flight", "Questions in flight", registry=self._registry).set_function(in_flight)

    def batch(self, calls: int, completions: Sequence[Completion], seconds: float) -> None:
        """Count a batch of `calls` calls, answered by `completions` in `seconds`."""
        self._calls.labels("generated").inc(len(completions))
        self._calls.labels("shared").inc(calls - len(completions))
        self._tokens.labels("prompt").inc(sum(completion.prompt_tokens for completion in completions))
        self._tokens.labels("completion").inc(sum(completion.completion_tokens for completion in completions))
        self._batch.observe(len(completions))
        self._engine.inc(seconds)

    def text(self) -> bytes:
        """All metrics in the exposition format."""
        return generate_latest(self._registry)
