"""An expert, and what else may stand at a node of a system."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from hswarm.experts.form import AdapterForm


class Node(ABC):
    """What stands at a node of a system: an expert, a fusion of several (fusion.py), or a rule, which calls no model
    (system/rules.py)."""

    name: str
    digest: str

    @property
    @abstractmethod
    def calls(self) -> int:
        """Model calls that one reply takes."""

    @property
    @abstractmethod
    def experts(self) -> tuple[Expert, ...]:
        """The experts that it calls."""

    @abstractmethod
    def entry(self, saved: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
        """Its entry in system.json; `saved` says by digest where each of its experts is."""


@dataclass(frozen=True, eq=False)
class Expert(Node):
    """A member of a pool: an adapter, a checkpoint, a remote model or a tool, which are the sub-classes.

    `base` names the model that an engine loads for it: an adapter's base, or the folder of a checkpoint. `form` is that
    of an adapter in PEFT's format, None for everything else.
    """

    name: str
    digest: str
    base: str = ""
    form: AdapterForm | None = None

    @property
    def calls(self) -> int:
        return 1

    @property
    def experts(self) -> tuple[Expert, ...]:
        return (self,)

    @property
    def has_weights(self) -> bool:
        """Whether it has weights here, which can be added to others'."""
        return True

    @property
    def size(self) -> int:
        """Number of parameters; 0 if they are elsewhere."""
        return 0

    @property
    def nbytes(self) -> int:
        """Bytes of weights in memory, which a worker has to be sent."""
        return 0

    def entry(self, saved: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
        return {"expert": self.name, **saved[self.digest]}

    def renamed(self, name: str) -> Self:
        """The same expert under another name."""
        return replace(self, name=name)

    def with_base(self, base: str) -> Self:
        """The same expert for `base`."""
        return replace(self, base=base)

    @abstractmethod
    def write(self, folder: Path, dtype: Literal["float32", "float16"] = "float32") -> str:
        """Write the expert to `folder`, an adapter's numbers as `dtype`; returns the digest of what was written."""
