"""Several experts that reply as one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hswarm.errors import PoolError
from hswarm.experts.expert import Expert, Node


@dataclass(frozen=True, eq=False)
class Fusion(Node):
    """Several experts of one base that sample each token together, from the weighted mean of their distributions.

    `weights` None weighs them for each prompt by exp(-log perplexity / temperature) of the prompt (PackLLM,
    arXiv 2404.11531, its similarity variant). Make it with `Fusion.join`.
    """

    name: str
    digest: str
    base: str
    parts: tuple[Expert, ...]
    weights: tuple[float, ...] | None
    temperature: float

    @classmethod
    def join(
        cls,
        parts: Sequence[Expert],
        weights: Sequence[float] | None = None,
        temperature: float = 1.0,
        name: str = "fusion",
    ) -> Fusion:
        """PoolError: no parts, some without weights, several bases; weights too few, too many, negative or all zero."""
        if far := [part.name for part in parts if not part.has_weights]:
            raise PoolError(
                f"'{name}' draws each token from its parts' distributions, which APIs and tools do not give: "
                f"leave out {', '.join(far)}"
            )
        bases = list(dict.fromkeys(part.base for part in parts))
        if len(bases) != 1:
            raise PoolError(f"'{name}' joins experts of one base, got bases: {', '.join(bases) or 'none'}")
        shares = None
        if weights is not None:
            if len(weights) != len(parts) or min(weights) < 0 or not 0 < sum(weights) < float("inf"):
                raise PoolError(f"'{name}' needs {len(parts)} weights of 0 or more, got {list(weights)}")
            shares = tuple(float(weight / sum(weights)) for weight in weights)
        if not temperature > 0:
            raise PoolError(f"'{name}' needs a temperature above 0, got {temperature}")
        content = json.dumps(["fusion", [part.digest for part in parts], shares, temperature])
        digest = hashlib.sha256(content.encode()).hexdigest()
        return cls(name, digest, bases[0], tuple(parts), shares, float(temperature))

    def shares(self, perplexities: Sequence[float]) -> tuple[float, ...]:
        """The parts' weights, summing to 1, for a prompt of these perplexities."""
        if self.weights is not None:
            return self.weights
        logits = -np.log(np.asarray(perplexities, dtype=np.float64)) / self.temperature
        raised = np.exp(logits - logits.max())
        return tuple((raised / raised.sum()).tolist())

    @property
    def calls(self) -> int:
        return len(self.parts)

    @property
    def experts(self) -> tuple[Expert, ...]:
        return self.parts

    def entry(self, saved: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
        parts = [part.entry(saved) for part in self.parts]
        return {"expert": self.name, "fusion": parts, "weights": self.weights, "temperature": self.temperature}


Callee = Expert | Fusion  # what a model call goes to
