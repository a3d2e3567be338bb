"""What a node may hold instead of one expert: a fusion of several, or a vote or a script without a model call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hswarm.errors import PoolError
from hswarm.experts.adapter import Expert
from hswarm.experts.remote import RemoteExpert

_NOTHING = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Fusion(Expert):
    """Several experts of one base that sample each token together, from the weighted mean of their distributions.

    `weights` None weighs them for each prompt by exp(-log perplexity / temperature) of the prompt (PackLLM,
    arXiv 2404.11531, its similarity variant). Make it with `Fusion.join`.
    """

    parts: tuple[Expert, ...] = ()
    weights: tuple[float, ...] | None = None
    temperature: float = 1.0

    @classmethod
    def join(
        cls,
        parts: Sequence[Expert],
        weights: Sequence[float] | None = None,
        temperature: float = 1.0,
        name: str = "fusion",
    ) -> Fusion:
        """PoolError: no parts, remote parts, several bases; weights that are too few or many, negative or all zero."""
        if far := [part.name for part in parts if isinstance(part, RemoteExpert)]:
            raise PoolError(
                f"'{name}' draws each token from its parts' distributions, which an API does not give: "
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
        return cls(name, _NOTHING, None, digest, bases[0], tuple(parts), shares, float(temperature))

    def shares(self, perplexities: Sequence[float]) -> tuple[float, ...]:
        """The parts' weights, summing to 1, for a prompt of these perplexities."""
        if self.weights is not None:
            return self.weights
        logits = -np.log(np.asarray(perplexities, dtype=np.float64)) / self.temperature
        raised = np.exp(logits - logits.max())
        return tuple((raised / raised.sum()).tolist())


@dataclass(frozen=True, eq=False)
class Vote(Expert):
    """A node that gives the most frequent answer of its predecessors. Make it with `Vote.new`."""

    @classmethod
    def new(cls, name: str = "vote") -> Vote:
        return cls(name, _NOTHING, None, hashlib.sha256(b"vote").hexdigest())


@dataclass(frozen=True, eq=False)
class Script(Expert):
    """A node that replies with a fixed line for each question id: for testing the effect of a reply on a system.

    Make it with `Script.saying`. It is never saved.
    """

    lines: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def saying(cls, name: str, lines: Mapping[str, str]) -> Script:
        told = json.dumps(["script", *sorted(lines.items())])
        return cls(name, _NOTHING, None, hashlib.sha256(told.encode()).hexdigest(), "", lines)


def width(expert: Expert) -> int:
    """Model calls that one reply takes."""
    if isinstance(expert, Vote | Script):
        return 0
    return len(expert.parts) if isinstance(expert, Fusion) else 1


def carriers(experts: Sequence[Expert]) -> Iterator[Expert]:
    """The experts with weights of their own, parts of fusions in place."""
    for expert in experts:
        if isinstance(expert, Fusion):
            yield from expert.parts
        elif not isinstance(expert, Vote | Script):
            yield expert
