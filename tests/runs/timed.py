"""The toy engine in a time of its own, which is known: by batch, by call and by prompt token."""

from typing import Any

from hswarm.engines.base import group_batches
from hswarm.engines.toy import ToyEngine

clock = [0.0]


class Timed(ToyEngine):
    def batches(self, requests: Any) -> Any:
        return group_batches(requests, self._batch, lambda request: request.prompt)

    def generate(self, requests: Any) -> Any:
        made = super().generate(requests)
        clock[0] += 0.2 + 0.05 * len(requests) + 0.002 * sum(reply.prompt_tokens for reply in made)
        return made
