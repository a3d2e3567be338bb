"""`hswarm export`: a found system as one folder to pass on.

system.json    topology, assignment, prompts, sampling; the base by name; SHA-256 of base, tokenizer and template
experts/       the adapters, as PEFT has them
best-single/   the best single expert as a system of its own, to compare with
recipe.toml report.json   how it was found, and its scores
examples.json  a few questions of the task to try
README.md graph.svg       the model card
manifest.json  SHA-256 and size of every file above
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from hswarm import io
from hswarm.bundle.card import model_card
from hswarm.bundle.package import RECIPE, SINGLE, Source
from hswarm.bundle.private import hide_paths
from hswarm.bundle.questions import write_questions
from hswarm.errors import MissingExtra, RunError
from hswarm.experts.base import find_base
from hswarm.experts.expert import Expert
from hswarm.experts.fingerprint import base_hashes
from hswarm.plots.graph import graph_svg
from hswarm.system.manifest import write_manifest
from hswarm.system.system import System


def export_bundle(source: Source, folder: Path) -> None:
    """Write the whole bundle to `folder`, which must not exist or be empty."""
    _write(folder, lambda new: _bundle(source, new), manifest=True)


def export_adapter(source: Source, folder: Path) -> None:
    """Write the one expert of the system as a plain PEFT adapter. RunError if it has several."""
    expert = _only_expert(source.system)
    _write(folder, lambda new: _plain(source, expert, new, "adapter"))


def export_merged(source: Source, folder: Path) -> None:
    """Write the base with the system's one expert merged in, as transformers saves a model."""
    expert = _only_expert(source.system)
    _write(folder, lambda new: _plain(source, expert, new, "merged"))


EXPORTS: dict[str, Callable[[Source, Path], None]] = {
    "bundle": export_bundle,
    "adapter": export_adapter,
    "merged": export_merged,
}


def _bundle(source: Source, new: Path) -> None:
    system = source.system
    hashes = {base: base_hashes(base) for base in system.adapter_bases}
    system.save(new, hashes)
    if source.single:
        source.single.save(new / SINGLE, hashes)
    if source.recipe:
        io.write_text(new / RECIPE, source.recipe)
    if source.report:
        io.write_text(new / "report.json", json.dumps(source.report.content(), indent=2) + "\n")
    write_questions(new, source.questions)
    io.write_text(new / "graph.svg", graph_svg(system.topology, system.assignment) + "\n")
    io.write_text(new / "README.md", model_card(source, hashes))


def _plain(source: Source, expert: Expert, new: Path, form: str) -> None:
    (base,) = source.system.adapter_bases
    if form == "adapter":
        expert.write(new)
    else:
        _merge(base, expert, new)
    io.write_text(new / "README.md", model_card(source, {base: base_hashes(base)}, form))


def _merge(base: str, expert: Expert, folder: Path) -> None:
    """Merged in float32 and rounded once, to the base's own type."""
    try:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as missing:
        raise MissingExtra("merging", "cpu", "gpu") from missing
    found = find_base(base)
    adapter = folder / "adapter"
    expert.write(adapter)
    model = AutoModelForCausalLM.from_pretrained(found, dtype="auto")
    kept = model.dtype
    merged = PeftModel.from_pretrained(model.to(torch.float32), adapter).merge_and_unload()
    shutil.rmtree(adapter)
    merged.to(kept).save_pretrained(folder)
    AutoTokenizer.from_pretrained(found).save_pretrained(folder)


def _only_expert(system: System) -> Expert:
    distinct = {expert.digest: expert for expert in system.experts}
    if len(distinct) > 1:
        names = ", ".join(sorted(set(system.assignment)))
        raise RunError(
            f"the system has {len(distinct)} different experts ({names}), so it is not one adapter; "
            "export it as a bundle (--as bundle)"
        )
    (expert,) = distinct.values()
    if expert.form is None:
        raise RunError(f"expert '{expert.name}' is not an adapter; export the system as a bundle (--as bundle)")
    return expert


def _write(folder: Path, fill: Callable[[Path], None], *, manifest: bool = False) -> None:
    """Fill a new folder beside `folder`, without this machine's paths, then put it in place: whole or absent."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} exists; name another folder or remove it")
    scratch = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.parent.mkdir(parents=True, exist_ok=True)
        fill(scratch)
        hide_paths(scratch)
        if manifest:
            write_manifest(scratch)
        if folder.exists():
            folder.rmdir()
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
