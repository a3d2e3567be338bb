"""A tool as an expert without weights: what stands at its node gives a text for a text (tools/).

Saved with a system are the tool's settings and the files that it reads.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from hswarm import io
from hswarm.errors import PoolError
from hswarm.experts.expert import Expert
from hswarm.experts.file_digest import file_digest
from hswarm.options import SETTINGS, check_ranges

TOOL_BASE = "(tools)"  # in place of a base model; no folder and no model of the hub has this name
TOOL_FILE = "tool.json"


@dataclass(frozen=True)
class ToolSettings:
    """`[[pool.tools]]`: a member of the pool without weights."""

    __pydantic_config__ = SETTINGS

    name: str
    """The tool's name here."""
    tool: str = ""
    """What it does: a name of `hswarm list tools`, or Python of yours as "module:attribute"; "": its name says it."""
    reads: Literal["responses", "question", "both"] = "responses"
    """What it is given: the responses of its predecessors (the question where it has none), the question, or both."""
    files: tuple[str, ...] = ()
    """The files that it reads; they are saved with a system."""
    options: dict[str, Any] = field(default_factory=dict)
    """Its options."""
    timeout_s: Annotated[float, Gt(0)] = 10.0
    """Seconds that a reply may take."""
    longest: Annotated[int, Ge(1)] = 2000
    """Characters of a reply; what is longer is cut off."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError("name must be letters, digits, '.', '_' or '-'")

    @property
    def kind(self) -> str:
        """The tool's name in its room, or "module:attribute"."""
        return self.tool or self.name


class ToolExpert(Expert):
    """A tool at a node: never moved by the weight-step. PoolError if a file of it cannot be read."""

    settings: ToolSettings

    def __init__(self, settings: ToolSettings, name: str = "") -> None:
        content = asdict(settings) | {"name": "", "tool": settings.kind, "files": list(map(_sha256, settings.files))}
        digest = hashlib.sha256(json.dumps(["tool", content], sort_keys=True).encode()).hexdigest()
        super().__init__(name or settings.name, digest, TOOL_BASE)
        object.__setattr__(self, "settings", settings)

    @property
    def has_weights(self) -> bool:
        return False

    def renamed(self, name: str) -> ToolExpert:
        return ToolExpert(self.settings, name)

    def with_base(self, base: str) -> ToolExpert:
        """The same tool: it has no base."""
        return self

    def given(self, question: str, responses: Sequence[str]) -> str:
        """The text that it gets at a node that hears `responses`."""
        said = list(responses) if self.settings.reads != "question" else []
        return "\n".join(said if said and self.settings.reads == "responses" else [question, *said])

    def write(self, folder: Path, dtype: Literal["float32", "float16"] = "float32") -> str:
        """Write settings and files to `folder`; returns the digest."""
        names, taken = [], {TOOL_FILE}
        for file in map(Path, self.settings.files):
            names.append(io.numbered(file.name, taken))
            taken.add(names[-1])
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / names[-1])
        content = asdict(replace(self.settings, files=tuple(names)))
        io.write_text(folder / TOOL_FILE, json.dumps(content, indent=2) + "\n")
        return self.digest

    @classmethod
    def read(cls, folder: str | Path) -> ToolExpert:
        """The tool that `write` saved in `folder`, its files from there alone. PoolError says what is wrong with it."""
        from pydantic import TypeAdapter

        path = Path(folder) / TOOL_FILE
        try:
            saved = TypeAdapter(ToolSettings).validate_json(path.read_bytes())
        except (OSError, ValueError, RecursionError) as fault:
            raise PoolError(f"{path} is not a tool as hswarm writes it: {fault}") from fault
        if strange := [name for name in saved.files if name in ("", "..") or Path(name).name != name]:
            raise PoolError(f"{path}: file {strange[0]!r} is outside of the tool's folder")
        return cls(replace(saved, files=tuple(str(path.with_name(name)) for name in saved.files)))


def _sha256(file: str) -> str:
    try:
        return file_digest(Path(file)).hex()
    except OSError as fault:
        raise PoolError(f"pool.tools: {file} cannot be read ({fault.strerror})") from fault
