"""Data sets of the Hugging Face hub, by id, or a local folder of their files; read by the package `datasets`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hswarm.errors import MissingExtra, TaskError, UserError
from hswarm.tasks.formats import DataFile, Row, Table, examples_of
from hswarm.tasks.known import SPLITS
from hswarm.tasks.settings import TaskSettings

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

Cells = Mapping[str, object]  # a row of a table, by column
_DEV = ("dev", *SPLITS)


def read_hub(settings: TaskSettings, convert: Callable[[Cells], Cells] | None = None) -> DataFile:
    """The examples of `settings.hub`. dev is `dev_split`, else the first of dev, validation, train that is there.

    `convert` changes a row before its columns are read.
    """
    remedy = "give its subset (task.subset), or download it and name the file (task.path)"
    found = download(settings.hub, remedy, settings.subset).content
    splits = {name: found[name] for name in _chosen(settings, list(found))}
    names = dict(zip(splits, ("dev", "test") if len(splits) > 1 else ("",), strict=True))
    rows = {names[name]: [Row(convert(row) if convert else row) for row in part] for name, part in splits.items()}
    return examples_of(Table(rows), settings.columns, f"data set '{settings.hub}'", settings.scorer)


class Downloaded(NamedTuple):
    """A data set, or one split of it, and the commit it is of ("" for a folder, or where it is not known)."""

    content: Dataset | DatasetDict
    commit: str


def download(name: str, remedy: str, subset: str = "", split: str | None = None) -> Downloaded:
    """The data set of a folder or of the hub, "owner/name@commit"; a warning if it is the hub's and not pinned.

    TaskError with `remedy` if it cannot be read.
    """
    try:
        from datasets import load_dataset
    except ImportError as missing:
        raise MissingExtra(f"data set '{name}'", "train") from missing
    id, revision = revision_of(name)
    try:
        found = load_dataset(id, subset or None, split=split, revision=revision)
    except Exception as fault:  # the package raises what its many readers raise
        reason = str(fault).strip().split("\n")[0] or type(fault).__name__
        raise TaskError(f"data set '{name}' cannot be read ({reason}); {remedy}") from fault
    if Path(id).is_dir():
        return Downloaded(found, "")
    commit = _commit(found if split else next(iter(found.values())))
    _warn(name, commit)
    return Downloaded(found, commit)


def _commit(table: Dataset) -> str:
    """The package keeps a data set of the hub in a folder named by its commit."""
    name = Path(table.cache_files[0]["filename"]).parent.name if table.cache_files else ""
    return name if re.fullmatch(r"[0-9a-f]{40}", name) else ""


@cache  # one data set is read several times in a training
def _warn(name: str, commit: str) -> None:
    if warning := unpinned(name, commit):
        print(warning, file=sys.stderr)


def revision_of(name: str) -> tuple[str, str | None]:
    """Hub id and revision of "owner/name@revision": a commit, branch or tag; None without one or for a folder."""
    if Path(name).is_dir():
        return name, None
    id, at, revision = name.partition("@")
    if at and not re.fullmatch(r"\w[\w./-]*", revision):
        raise UserError(f"'{name}': what follows @ must be a commit, branch or tag of the hub, got '{revision[:50]}'")
    return id, revision or None


def unpinned(name: str, commit: str) -> str:
    """The warning about `name`, downloaded in its version `commit`, or "" if it names a commit itself."""
    id, _, revision = name.partition("@")
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return ""
    return (
        f"warning: '{name}' was downloaded from the hub in its current version; "
        f"'{id}@{commit or '<commit>'}' in the recipe always gets the same files"
    )


def _chosen(settings: TaskSettings, there: list[str]) -> list[str]:
    """The names of the splits to take: dev and test, or the only one."""
    for name in filter(None, (settings.dev_split, settings.test_split)):
        if name not in there:
            raise TaskError(f"data set '{settings.hub}' has no split '{name}'; it has: {', '.join(there)}")
    if len(there) == 1:
        return there
    test = settings.test_split or ("test" if "test" in there else "")
    dev = settings.dev_split or next((name for name in _DEV if name in there and name != test), "")
    if not dev:
        raise TaskError(f"data set '{settings.hub}' has the splits {', '.join(there)}; name one as task.dev_split")
    return [dev, test] if test else [dev]
