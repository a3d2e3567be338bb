"""A pool: a folder of experts, one sub-folder each, LoRA adapters or whole checkpoints.

Experts whose weights can be added are a group: adapters of one base, checkpoints of one layout. An ordinary pool is one
group; a mixed pool has several, and weights are then combined only within a group.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from annotated_types import Ge
from numpy.typing import ArrayLike

from hswarm import io
from hswarm.core.parallel_map import parallel_map
from hswarm.errors import PoolError
from hswarm.experts.adapter import Adapter
from hswarm.experts.base import original_of
from hswarm.experts.blend import blend_factors, blend_updates, check_summable, union_form
from hswarm.experts.checkpoint import Checkpoint, is_checkpoint
from hswarm.experts.expert import Expert
from hswarm.experts.form import AdapterForm
from hswarm.experts.hub import fetch, is_hub_name, short_name
from hswarm.experts.remote import REMOTE_FILE, RemoteExpert, RemoteSettings
from hswarm.experts.tool import TOOL_FILE, ToolExpert, ToolSettings
from hswarm.options import SETTINGS, check_ranges
from hswarm.registry import near

_LEAVE = "leave it out (pool.experts)"
_E = TypeVar("_E", bound=Expert)


@dataclass(frozen=True)
class PoolSettings:
    """`[pool]`: the experts."""

    __pydantic_config__ = SETTINGS

    path: str = ""
    """The folder of experts, a sub-folder each."""
    base: str = ""
    """The model below the adapters, by folder, hub id or alias (default: the one that they name)."""
    experts: tuple[str, ...] = ()
    """The experts to use: sub-folders of `path`, or "owner/name" and "owner/name@<revision>" of the Hugging Face hub
    (default: all of the folder)."""
    space: Literal["factors", "delta"] = "factors"
    """Where adapters are added: "factors" (A and B apart, all of one form) or "delta" (the updates s B A)."""
    rank: Annotated[int, Ge(0)] = 0
    """The rank to which sums in "delta" are brought back; 0: the largest of the pool."""
    mixed: bool = False
    """Allow experts of several bases."""
    populate: Annotated[int, Ge(0)] = 0
    """Grow the pool to this many experts by weighted sums of two; 0: leave it as it is."""
    remote: tuple[RemoteSettings, ...] = ()
    """Models behind an API, beside the folder's experts or without a folder."""
    tools: tuple[ToolSettings, ...] = ()
    """Tools beside the experts: a calculator, a sandbox, retrieval, Python of yours, an address."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.rank and self.space != "delta":
            raise ValueError("rank is for pool.space = 'delta'; in 'factors' experts keep their own")
        if self.mixed and self.base:
            raise ValueError("a mixed pool has several bases, named by its experts; leave out pool.base")


@dataclass(frozen=True, eq=False)
class ExpertPool:
    """Experts that can work together, the name of their base model (or of all, if several), and their space."""

    experts: tuple[Expert, ...]
    base: str
    space: Literal["factors", "delta"] = "factors"
    rank: int = 0

    @property
    def names(self) -> list[str]:
        return [expert.name for expert in self.experts]

    @property
    def bases(self) -> tuple[str, ...]:
        """The base models that an engine needs for the pool."""
        return bases_of(self.experts, self.base)

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The positions of experts whose weights can be added, by group; those without weights are in none."""
        found: dict[Hashable, list[int]] = {}
        for i, expert in enumerate(self.experts):
            if expert.has_weights:
                found.setdefault(_group_key(expert), []).append(i)
        return tuple(map(tuple, found.values()))

    def blend(self, weights: ArrayLike, name: str) -> Expert:
        """The sum of the pool's experts times `weights`, shape (n,), which may be nonzero in one group only.

        The pool's own expert, unchanged, if it alone has weight 1. Swarm moves are sums of the start positions, so
        every position that a weight-step can reach is a blend. PoolError if weights are nonzero in two groups.
        """
        row = np.asarray(weights, dtype=np.float64)
        if row.shape != (len(self.experts),):
            raise ValueError(f"expected {len(self.experts)} weights, one an expert, got shape {row.shape}")
        used = np.flatnonzero(row).tolist()
        if len(used) == 1 and row[used[0]] == 1:
            return self.experts[used[0]].renamed(name)
        group = next((group for group in self.groups if set(used) <= set(group)), None)
        if group is None:
            raise PoolError(
                f"'{name}' would add experts that do not share an architecture: "
                f"{', '.join(self.names[i] for i in used)}"
            )
        members, shares = [self.experts[i] for i in group], row[list(group)].tolist()
        if checkpoints := [member for member in members if isinstance(member, Checkpoint)]:
            return Checkpoint.blend(checkpoints, shares, name)
        adapters = [member for member in members if isinstance(member, Adapter)]
        if self.space == "delta" and adapters[0].form:
            return blend_updates(adapters, shares, name, self.rank or _largest_rank(adapters))
        return blend_factors(adapters, shares, name)

    def blends(self, shares: ArrayLike, names: Sequence[str]) -> tuple[Expert, ...]:
        """The `blend` of each row of `shares`, shape (m, n), named in order. ValueError: the two differ in length."""
        size = 0 if self.space == "delta" else max(expert.size for expert in self.experts)
        return tuple(parallel_map(self.blend, list(zip(np.asarray(shares), names, strict=True)), size))


def open_pool(settings: PoolSettings, least: int = 2) -> ExpertPool:
    """Read and check a pool of at least `least` experts. PoolError names every expert that is incompatible."""
    experts: list[Expert] = [RemoteExpert(remote) for remote in settings.remote]
    faults = _twice(settings)
    for tool in settings.tools:
        try:
            experts.append(ToolExpert(tool))
        except PoolError as fault:
            faults.append(str(fault))
    for name, folder in expert_folders(settings).items():
        try:
            experts.append(read_expert(folder).renamed(name))
        except PoolError as fault:
            faults.append(str(fault))
    local = [expert for expert in experts if expert.has_weights]
    quantised = [] if settings.base else _quantised(local)
    faults += quantised or _misfits(local, settings)
    if faults:
        raise PoolError("; ".join(faults))
    if len(experts) < least:
        raise PoolError(
            f"the pool {settings.path} has one expert, '{experts[0].name}'; a search needs at least two: "
            "add one, or use that expert directly, without hswarm"
        )
    experts = share_bases(experts, settings.base)
    if nameless := [expert.name for expert in experts if not expert.base]:
        raise PoolError(
            f"the adapters in {settings.path} do not name their base ({', '.join(nameless)}); set pool.base"
        )
    base = ", ".join(bases_of([expert for expert in experts if expert.has_weights] or experts))
    return ExpertPool(tuple(experts), base, settings.space, settings.rank)


def read_expert(folder: Path) -> Expert:
    """What `Expert.write` saved in `folder`, or an adapter or checkpoint. PoolError says what is wrong with it."""
    if (folder / REMOTE_FILE).is_file():
        return RemoteExpert.read(folder)
    if (folder / TOOL_FILE).is_file():
        return ToolExpert.read(folder)
    return Checkpoint.read(folder) if is_checkpoint(folder) else Adapter.read(folder)


def share_bases(experts: Sequence[Expert], named: str = "") -> list[Expert]:
    """`experts`, adapters with base `named` if it is set; checkpoints of one layout share the first one's folder."""
    first: dict[str, str] = {}
    done: list[Expert] = []
    for expert in experts:
        if isinstance(expert, Checkpoint):
            done.append(expert.with_base(first.setdefault(expert.layout.digest, expert.base)))
        else:
            done.append(expert.with_base(named) if named else expert)
    return done


def bases_of(experts: Sequence[Expert], default: str = "") -> tuple[str, ...]:
    """The distinct bases of `experts`, in order; `default` for experts that name none."""
    return tuple(dict.fromkeys(expert.base or default for expert in experts))


def _group_key(expert: Expert) -> Hashable:
    if isinstance(expert, Checkpoint):
        return "checkpoint", expert.layout.digest
    return ("adapter", expert.base) if expert.form else ("vector",)


def _largest_rank(experts: Sequence[Expert]) -> int:
    return max(expert.form.rank for expert in experts if expert.form)


def _twice(settings: PoolSettings) -> list[str]:
    """Names that two experts would share."""
    elsewhere = [one.name for one in settings.remote] + [one.name for one in settings.tools]
    local = list(expert_folders(settings))
    return [
        f"pool.remote or pool.tools names '{name}' twice, or like another expert of the pool; give it another name"
        for name, count in Counter(elsewhere + local).items()
        if count > 1
    ]


def expert_folders(settings: PoolSettings) -> dict[str, Path]:
    """Name -> folder of the pool's experts that have one; experts of the hub are downloaded if necessary."""
    if len(set(settings.experts)) < len(settings.experts):
        raise PoolError(f"pool.experts names an expert twice: {', '.join(settings.experts)}")
    near_by = [name for name in settings.experts if not is_hub_name(name)]
    elsewhere = bool(settings.remote) or len(near_by) < len(settings.experts)
    whole_folder = not settings.experts and bool(settings.path)
    local = _local_folders(settings, near_by) if near_by or whole_folder or not elsewhere else {}
    found: dict[str, Path] = {}
    for name in settings.experts or local:
        if name in local:
            found[name] = local[name]
        else:
            found[short_name(name, [*local, *found])] = fetch(name)
    return found


def _local_folders(settings: PoolSettings, names: Sequence[str]) -> dict[str, Path]:
    if not settings.path:
        raise PoolError("pool.path is not set; name a folder with one PEFT adapter a sub-folder")
    root = Path(settings.path)
    if not root.is_dir():
        raise PoolError(f"no folder {root}; pool.path names a folder with one PEFT adapter a sub-folder")
    found = {path.name: path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")}
    if not found:
        raise PoolError(f"{root} has no sub-folders; expected one PEFT adapter or checkpoint each{io.what_is(root)}")
    unknown = [name for name in names if name not in found]
    if unknown:
        raise PoolError("; ".join(f"no expert '{name}' in {root}{near(name, found)}" for name in unknown))
    return {name: found[name] for name in names or found}


def _misfits(experts: Sequence[Expert], settings: PoolSettings) -> list[str]:
    """The differences from most of the pool, or in a mixed pool from most experts of the same base."""
    adapters = [expert for expert in experts if isinstance(expert, Adapter) and expert.form]
    checkpoints = [expert for expert in experts if isinstance(expert, Checkpoint)]
    if settings.mixed:
        by_base: dict[str, list[Adapter]] = {}
        for expert in adapters:
            by_base.setdefault(expert.base, []).append(expert)
        return [fault for group in by_base.values() for fault in _odd_forms(group, settings.space)]
    faults: list[str] = []
    if adapters and checkpoints:
        few, what, many = (
            (adapters, "an adapter", "checkpoints")
            if len(adapters) < len(checkpoints)
            else (checkpoints, "a whole checkpoint", "adapters")
        )
        return [
            f"expert '{expert.name}' is {what}, the pool's are {many}; {_LEAVE}, or set pool.mixed = true"
            for expert in few
        ]
    if checkpoints:
        layout = _most_common(checkpoints, lambda expert: expert.layout.digest).layout
        faults += [
            f"expert '{expert.name}': {word}; {_LEAVE}, or set pool.mixed = true"
            for expert in checkpoints
            if (word := expert.layout.difference(layout))
        ]
    if adapters:
        odd = _odd_bases(adapters, settings.base)
        faults += [*odd.values(), *_odd_forms([one for one in adapters if one.name not in odd], settings.space)]
    return faults


def _odd_bases(adapters: Sequence[Expert], named: str) -> dict[str, str]:
    """A fault by name for adapters of another base than most.

    `named` (pool.base) stands for its other revisions and copies, for a folder of whoever trained an adapter, and for a
    base that an adapter does not name.
    """
    bases = [_family(expert.base) if named else expert.base for expert in adapters]
    told = Counter(base for base in bases if not (named and _is_folder(base)))
    usual = _family(named) if named and (_family(named) in told or not told) else told.most_common(1)[0][0]
    remedy = "correct base_model_name_or_path in its adapter_config.json" if named else "set pool.base"
    return {
        expert.name: f"expert '{expert.name}': base {expert.base or 'not named'}, the pool's is "
        f"{usual or 'not named'}; {_LEAVE}, {remedy} if both are one model, or set pool.mixed = true"
        for expert, base in zip(adapters, bases, strict=True)
        if base != usual and base in told
    }


def _is_folder(base: str) -> bool:
    """Whether `base` cannot be an id of the hub."""
    return not base or base.count("/") > 1 or re.match(r"[/.~\\]|[A-Za-z]:[/\\]", base) is not None


def _family(base: str) -> str:
    """The name that bases with equal weights share, without revision and without the marks of a 4-bit copy."""
    return original_of(base) or base.partition("@")[0]


def _quantised(experts: Sequence[Expert]) -> list[str]:
    """Adapters whose base would be loaded in 4 bits."""
    return [
        f"expert '{expert.name}' was trained on {expert.base}, a copy of {original} in 4 bits, which no engine here "
        f"loads; set pool.base = '{original}', or to a folder with it"
        for expert in experts
        if (original := original_of(expert.base))
    ]


def _odd_forms(adapters: Sequence[Adapter], space: str) -> list[str]:
    """Adapters that cannot be added to most of the others."""
    pattern = _most_common(adapters, _form_digest)
    assert pattern.form is not None
    faults = []
    for expert in adapters:
        if expert.form is None or expert.form.digest == pattern.form.digest:
            continue
        if space == "factors":
            faults.append(
                f"expert '{expert.name}': {_difference(expert.form, pattern.form)}; convert it, {_LEAVE}, "
                "or add the updates themselves (pool.space = 'delta')"
            )
            continue
        try:
            check_summable(expert)
            union_form([pattern, expert], 1)
        except PoolError as fault:
            faults.append(f"{fault}; {_LEAVE}")
    return faults


def _form_digest(expert: Expert) -> str:
    return expert.form.digest if expert.form else ""


def _most_common(experts: Sequence[_E], key: Callable[[_E], str]) -> _E:
    """The first expert of the most frequent kind by `key`."""
    usual = Counter(map(key, experts)).most_common(1)[0][0]
    return next(expert for expert in experts if key(expert) == usual)


def _difference(form: AdapterForm, pattern: AdapterForm) -> str:
    for key, word in (("r", "rank"), ("lora_alpha", "alpha"), ("use_rslora", "rslora")):
        if form.config.get(key) != pattern.config.get(key):
            return f"{word} {form.config.get(key)}, the pool has {word} {pattern.config.get(key)}"
    if form.kinds != pattern.kinds:
        return f"it holds {', '.join(sorted(form.kinds))}, the pool's hold {', '.join(sorted(pattern.kinds))}"
    for key in ("rank_pattern", "alpha_pattern"):
        if form.config.get(key) != pattern.config.get(key):
            return f"another {key} than the pool's"
    if odd := sorted(set(form.names) ^ set(pattern.names)):
        return f"other target modules than the pool ({len(odd)} tensors differ, the first {odd[0]!r})"
    return "tensor shapes or modules differ from the pool's (another base model?)"
