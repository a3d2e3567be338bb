"""What a tool is, and how one is made from its settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hswarm.errors import ConfigError
from hswarm.experts.tool import ToolExpert
from hswarm.options import configured
from hswarm.registry import Part, Room, parameters

tool = Room("tools", "hswarm.tools", "tool", Part)

Tool = Callable[[str], str]
"""Text in, text out. An exception's words become the reply; `Unavailable` makes the call a failed one."""


class Unavailable(Exception):
    """The tool itself does not work at the moment, whatever the text: the call is counted as failed, and not kept."""


def make(expert: ToolExpert) -> Tool:
    """The tool of `expert`, ready to use. ConfigError for options that do not fit, ConsentError for what the user has
    to allow."""
    settings, place = expert.settings, f"pool.tools '{expert.settings.name}': options"
    made = tool.get(settings.kind)
    known = {one.name for one in parameters(made)}
    if settings.files and "files" not in known:
        raise ConfigError([f"pool.tools '{settings.name}': tool '{settings.kind}' reads no files; leave files out"])
    own = {"files": tuple(map(Path, settings.files)), "timeout_s": settings.timeout_s}
    found: Tool = configured(made, settings.options | {name: own[name] for name in own.keys() & known}, place)
    return found
