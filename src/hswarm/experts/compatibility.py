"""Whether experts fit their base, from the files alone: no model is loaded and nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hswarm.errors import PoolError
from hswarm.experts import shards
from hswarm.experts.adapter import Adapter
from hswarm.experts.base import base_here
from hswarm.experts.blend import SUMMABLE, module_sizes
from hswarm.experts.checkpoint import Checkpoint, chat_template, tokenizer_digest
from hswarm.experts.expert import Expert, Node
from hswarm.experts.peft_format import Kind
from hswarm.experts.pool import ExpertPool

# what an engine supports, for those that support plain adapters only
KINDS: dict[str, frozenset[Kind]] = {"openvino": SUMMABLE, "vllm": frozenset({"LoRA"})}


def base_faults(pool: ExpertPool, folders: Mapping[str, Path]) -> tuple[list[str], list[str]]:
    """The mismatches between experts, in `folders` by their names, and their bases; and the bases that are not here."""
    faults: list[str] = []
    absent: list[str] = []
    for base in pool.bases:
        members = [expert for expert in pool.experts if expert.base == base]
        folder = base_here(base)
        if folder is None:
            absent.append(base)
            continue
        if not chat_template(folder):
            faults.append(f"base '{base}' has no chat template; choose an instruction-tuned base")
        faults += _strange_modules(members, folder, base)
        faults += _strange_tokenizers(members, folders, folder, base)
    return faults, absent


def check_tokenizers(pool: ExpertPool, folders: Mapping[str, Path]) -> None:
    """PoolError for adapters, in `folders` by their names, with a tokenizer other than their base's."""
    faults = [
        fault
        for base in pool.bases
        if (folder := base_here(base))
        for fault in _strange_tokenizers(
            [expert for expert in pool.experts if expert.base == base], folders, folder, base
        )
    ]
    if faults:
        raise PoolError("; ".join(faults))


def check_kinds(experts: Sequence[Node], engine: str) -> None:
    """PoolError for the first of `experts` that is nothing `engine` supports. Loads nothing; some engines take all."""
    if engine not in KINDS:
        return
    for expert in experts:
        if not isinstance(expert, Adapter) or expert.form is None:
            raise PoolError(
                f"expert '{expert.name}' is not a LoRA adapter, and engine '{engine}' supports nothing else; "
                "set engine.name = 'transformers'"
            )
        if more := sorted(expert.form.kinds - KINDS[engine]):
            raise PoolError(
                f"expert '{expert.name}' holds {' and '.join(more)}, which engine '{engine}' does not support; "
                "set engine.name = 'transformers'"
            )


def check_adapters(experts: Sequence[Node], linears: Mapping[str, list[int]], base: str, engine: str) -> list[Adapter]:
    """`experts`; PoolError unless `engine` supports all and the base has their modules: `linears` are [out, in]."""
    check_kinds(experts, engine)
    adapters = [expert for expert in experts if isinstance(expert, Adapter)]
    for expert in adapters:
        assert expert.form is not None
        for module, (wide, tall) in module_sizes(expert.form).items():
            found = linears.get(module, "no such weight")
            if found != (expected := [tall, wide]):
                raise PoolError(
                    f"expert '{expert.name}' changes {module} of shape {expected}, the base {base} has "
                    f"{found}; it belongs to another base"
                )
    return adapters


def _strange_modules(experts: Sequence[Expert], folder: Path, base: str) -> list[str]:
    """Adapters with a module that the base lacks or has in another size: PEFT ignores some of them silently."""
    shapes = {name.removesuffix(".weight"): stored.shape for name, stored in shards.tensors_in(folder).items()}
    bare = {name.split(".", 1)[-1]: shape for name, shape in shapes.items()}  # saved without the outer module's name
    faults = []
    for expert in experts:
        if expert.form is None:
            continue
        odd = []
        for module, (wide, tall) in module_sizes(expert.form).items():
            found = shapes.get(module) or shapes.get(module.split(".", 1)[-1]) or bare.get(module)
            if found is None and module == "lm_head":
                continue  # tied to the embeddings, or in no file
            if found != (tall, wide):
                odd.append(f"{module} is {(tall, wide)}, the base has {found or 'no such module'}")
        if odd:
            faults.append(
                f"expert '{expert.name}': {odd[0]} ({len(odd)} modules do not fit {base}); "
                "it belongs to another base: leave it out (pool.experts)"
            )
    return faults


def _strange_tokenizers(experts: Sequence[Expert], folders: Mapping[str, Path], folder: Path, base: str) -> list[str]:
    """Adapters whose tokenizer differs from their base's."""
    faults = []
    for expert in experts:
        own = None if isinstance(expert, Checkpoint) else folders.get(expert.name)
        brought = tokenizer_digest(own) if own else ""
        if brought and brought != (tokenizer_digest(folder) or brought):
            faults.append(
                f"expert '{expert.name}' comes with another tokenizer than its base {base}; "
                "train it on the base's own, or leave it out (pool.experts)"
            )
    return faults
