"""The places on this machine where workers may run: one a GPU, or shares of the cores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from hswarm.errors import ConfigError

_CORES = 4  # per worker, if the number of workers is not set


@dataclass(frozen=True)
class Place:
    """One worker's share of the machine: a GPU as CUDA_VISIBLE_DEVICES names it, or cores; neither: all of it."""

    gpu: str = ""
    cores: tuple[int, ...] = ()

    def settle(self) -> None:
        """Confine this process to the place. To be called before torch is imported."""
        if self.gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        if self.cores:
            os.environ["OMP_NUM_THREADS"] = str(len(self.cores))
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, self.cores)


def places(devices: Literal["auto"] | Sequence[int], gpus: Sequence[str]) -> list[Place]:
    """A place for each of `devices`, indices into `gpus`; without GPUs each number gets its share of the cores.

    "auto" is every GPU, or a place for every four cores. ConfigError for a GPU that is not there, or without GPUs for a
    number that is neither one of the cores nor one of as many as are named.
    """
    if gpus:
        numbers = range(len(gpus)) if devices == "auto" else devices
        if missing := [number for number in numbers if not 0 <= int(number) < len(gpus)]:
            raise ConfigError([f"engine.devices: no device {missing[0]}; there are {len(gpus)}, counted from 0"])
        return [Place(gpu=gpus[int(number)]) for number in numbers]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    count = max(1, len(cores) // _CORES) if devices == "auto" else len(devices)
    there = max(len(cores), count)
    if devices != "auto" and (missing := [number for number in devices if not 0 <= int(number) < there]):
        raise ConfigError(
            [f"engine.devices: no device {missing[0]}; there is no GPU, and {len(cores)} cores, counted from 0"]
        )
    if count > len(cores):
        return [Place(cores=(cores[k % len(cores)],)) for k in range(count)]
    bounds = [len(cores) * k // count for k in range(count + 1)]
    return [Place(cores=tuple(cores[bounds[k] : bounds[k + 1]])) for k in range(count)]


def visible_gpus() -> list[str]:
    """The GPUs that torch sees, as CUDA_VISIBLE_DEVICES names them; none without torch."""
    if not find_spec("torch"):
        return []
    import torch

    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return [named[i] if named else str(i) for i in range(torch.cuda.device_count())]
