"""A pool: a folder of LoRA adapters of one base, one sub-folder each, all of one form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hswarm.errors import PoolError
from hswarm.experts.adapter import AdapterForm, Expert
from hswarm.registry import near


@dataclass(frozen=True)
class PoolSettings:
    """`[pool]`: the folder, the base (default: the adapters' own), the experts to take (default: all)."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    path: str = ""
    base: str = ""
    experts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ExpertPool:
    """Experts that can be combined, and the name of their base model."""

    experts: tuple[Expert, ...]
    base: str

    @property
    def names(self) -> list[str]:
        return [expert.name for expert in self.experts]


def open_pool(settings: PoolSettings) -> ExpertPool:
    """Read and check a pool. PoolError names every expert that does not fit, and its remedy."""
    folders = _folders(settings)
    experts, faults = [], []
    for folder in folders:
        try:
            experts.append(Expert.read(folder))
        except PoolError as fault:
            faults.append(str(fault))
    faults += _misfits(experts, settings.base)
    if faults:
        raise PoolError("; ".join(faults))
    if len(experts) < 2:
        raise PoolError(f"the pool {settings.path} has one expert, '{experts[0].name}'; a search needs at least two")
    form = experts[0].form
    base = settings.base or (str(form.config.get("base_model_name_or_path") or "") if form else "")
    if not base:
        raise PoolError(f"the adapters in {settings.path} do not name their base; set pool.base")
    return ExpertPool(tuple(experts), base)


class PoolRow(NamedTuple):
    """One expert of `pool_table`; `distance` is that to the `nearest` other expert."""

    name: str
    digest: str
    rank: int
    parameters: int
    norm: float
    nearest: str
    distance: float


def pool_table(pool: ExpertPool) -> list[PoolRow]:
    """One row an expert. A bare vector's rank is 0."""
    apart = distances(pool)
    np.fill_diagonal(apart, np.inf)
    rows = []
    for expert, row in zip(pool.experts, apart, strict=True):
        nearest = int(row.argmin())
        rank = int(expert.form.config["r"]) if expert.form else 0
        norm = float(np.linalg.norm(expert.vector.astype(np.float64)))
        rows.append(PoolRow(expert.name, expert.digest, rank, expert.vector.size, norm, pool.names[nearest],
                            float(row[nearest])))  # fmt: skip
    return rows


def distances(pool: ExpertPool) -> NDArray[np.float64]:
    """Shape (n, n): |a - b| over the mean of |a| and |b|; equal experts are 0 apart, unrelated ones about 1.4."""
    vectors = np.stack([expert.vector for expert in pool.experts]).astype(np.float64)
    norms = np.linalg.norm(vectors, axis=1)
    apart: NDArray[np.float64] = np.array([np.linalg.norm(vectors - vector, axis=1) for vector in vectors])
    means = (norms[:, None] + norms) / 2
    np.divide(apart, means, out=apart, where=means > 0)
    return apart


def _folders(settings: PoolSettings) -> list[Path]:
    if not settings.path:
        raise PoolError("pool.path is not set; name a folder with one PEFT adapter a sub-folder")
    root = Path(settings.path)
    if not root.is_dir():
        raise PoolError(f"no folder {root}; pool.path names a folder with one PEFT adapter a sub-folder")
    found = {path.name: path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")}
    if not found:
        raise PoolError(f"{root} has no sub-folders; expected one PEFT adapter each")
    unknown = [name for name in settings.experts if name not in found]
    if unknown:
        raise PoolError("; ".join(f"no expert '{name}' in {root}{near(name, found)}" for name in unknown))
    if len(set(settings.experts)) < len(settings.experts):
        raise PoolError(f"pool.experts names an expert twice: {', '.join(settings.experts)}")
    return [found[name] for name in settings.experts or found]


def _misfits(experts: Sequence[Expert], base: str) -> list[str]:
    """What differs from the form that most of the pool has."""
    forms = [expert.form for expert in experts if expert.form]
    if not forms:
        return []
    usual = Counter(form.digest for form in forms).most_common(1)[0][0]
    pattern = next(form for form in forms if form.digest == usual)
    bases = Counter(_base(form) for form in forms)
    expected = base if base in bases else bases.most_common(1)[0][0]
    faults = []
    for expert in experts:
        assert expert.form is not None
        if expert.form.digest != usual:
            faults.append(f"expert '{expert.name}': {_difference(expert.form, pattern)}; "
                          "convert it or leave it out (pool.experts)")  # fmt: skip
        elif _base(expert.form) != expected:
            faults.append(f"expert '{expert.name}': base {_base(expert.form)}, the pool's is {expected}; "
                          "leave it out (pool.experts)")  # fmt: skip
    return faults


def _difference(form: AdapterForm, pattern: AdapterForm) -> str:
    for key, word in (("r", "rank"), ("lora_alpha", "alpha"), ("use_rslora", "rslora")):
        if form.config.get(key) != pattern.config.get(key):
            return f"{word} {form.config.get(key)}, the pool has {word} {pattern.config.get(key)}"
    if odd := sorted(set(form.names) ^ set(pattern.names)):
        return f"other target modules than the pool ({len(odd)} tensors differ, the first {odd[0]!r})"
    return "tensor shapes or modules differ from the pool's (another base model?)"


def _base(form: AdapterForm) -> str:
    return str(form.config.get("base_model_name_or_path") or "")
