"""Experts from the Hugging Face hub: "owner/name" or "owner/name@<commit, branch or tag>" in `pool.experts`.

Only safetensors, JSON and chat templates are fetched, never pickles or code, into the hub's own cache.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

from hswarm.errors import MissingExtra, PoolError
from hswarm.tasks.hub import revision_of, unpinned

_FILES = ["*.safetensors", "*.json", "*.jinja"]
_SUBFOLDERS = ["*/*"]  # training checkpoints, other formats
_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@.*)?")


def is_hub_name(name: str) -> bool:
    """Whether an entry of `pool.experts` names a hub repository; other entries are folders of `pool.path`."""
    return _NAME.fullmatch(name) is not None


def short_name(name: str, taken: Collection[str] = ()) -> str:
    """The name in a pool of the hub's expert `name`: without its owner, unless that name is `taken`."""
    owner, _, short = name.partition("@")[0].partition("/")
    return f"{owner}-{short}" if short in taken else short


@cache  # each check of a pool calls it, and a download never changes
def fetch(name: str) -> Path:
    """The folder of expert `name`, "owner/name" or "owner/name@<commit, branch or tag>".

    PoolError if the hub does not have it or cannot be reached; a warning unless a commit is named.
    """
    id, revision = revision_of(name)
    try:
        from huggingface_hub import snapshot_download
    except ImportError as missing:
        raise MissingExtra(f"expert '{name}' of the hub", "cpu", "gpu") from missing
    try:
        folder = Path(snapshot_download(id, revision=revision, allow_patterns=_FILES, ignore_patterns=_SUBFOLDERS))
    except Exception as fault:  # the package raises its own errors, those of httpx and those of the system
        reason = str(fault).strip().split("\n")[0] or type(fault).__name__
        raise PoolError(
            f"expert '{name}' is not in the hub's cache here and cannot be fetched ({reason}); check the name, "
            f"or fetch it where there is a connection (hswarm experts download {name}) and set HF_HOME to that cache"
        ) from fault
    if not any(folder.glob("*.safetensors")):
        raise PoolError(
            f"expert '{name}' has no safetensors at the top of its repository, and pickles (.bin, .pt) and sub-folders "
            "are not fetched; save it there with safetensors, or download it and name its folder (pool.path)"
        )
    if warning := unpinned(name, folder.name):
        print(warning, file=sys.stderr)
    return folder
