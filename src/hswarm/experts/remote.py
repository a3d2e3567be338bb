"""An expert without weights here: a model behind an OpenAI-compatible API. Knows nothing of HTTP.

The key is read from the environment when a call is made, if the user allows it (consent.py); recipes, runs and messages
hold the variable's name alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from annotated_types import Ge, Gt

from hswarm import io
from hswarm.errors import PoolError
from hswarm.experts.expert import Expert
from hswarm.options import SETTINGS, check_ranges

REMOTE_BASE = "openai"  # in place of a local expert's base model
REMOTE_FILE = "remote.json"


@dataclass(frozen=True, kw_only=True)
class ApiLimits:
    """Limits on the calls to a model behind an API."""

    __pydantic_config__ = SETTINGS

    concurrency: Annotated[int, Ge(1)] = 8
    """Calls in progress at a time."""
    per_minute: Annotated[float, Ge(0)] = 0
    """Calls a minute; 0: no limit."""
    timeout_s: Annotated[float, Gt(0)] = 60
    """Seconds that an attempt may take."""
    attempts: Annotated[int, Ge(1)] = 6
    """Attempts of a call, with growing pauses between."""
    calls: Annotated[int, Ge(0)] = 0
    """Calls of a process in total; 0: no limit."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class RemoteSettings(ApiLimits):
    """`[[pool.remote]]`: a model behind an OpenAI-compatible API."""

    __pydantic_config__ = SETTINGS

    name: str
    """The expert's name here."""
    model: str
    """The model's name at the API."""
    url: str
    """The API, up to /v1."""
    key: str = ""
    """The NAME of the environment variable that holds its key; "": none is needed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError("name must be letters, digits, '.', '_' or '-'")
        check_url(self.url, self.key)


def check_url(url: str, key: str) -> None:
    """ValueError unless `url` is a plain address and `key` the name of a variable, or "", that may be sent there."""
    if key and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", key):
        raise ValueError(
            "key must be the NAME of an environment variable that holds the key, e.g. "
            "key = 'OPENAI_API_KEY'; take a key out of the recipe"
        )
    place = urlsplit(url)
    strange = not re.fullmatch(r"[!-~]+", url) or set(url) & set("\\?#@")
    if strange or place.scheme not in ("http", "https") or not place.hostname:
        raise ValueError("url must be like http://localhost:8000/v1, without a key or password in it")
    if key and place.scheme == "http" and not _loopback(place.hostname):
        raise ValueError(f"a key goes over https or to this machine alone, and url is {url}; use https")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class RemoteExpert(Expert):
    """A model behind an API, as an expert: never moved by the weight-step."""

    remote: RemoteSettings

    def __init__(self, remote: RemoteSettings, name: str = "") -> None:
        identity = json.dumps(["openai", remote.model, remote.url.rstrip("/")])
        digest = hashlib.sha256(identity.encode()).hexdigest()
        super().__init__(name or remote.name, digest, REMOTE_BASE)
        object.__setattr__(self, "remote", remote)

    @property
    def has_weights(self) -> bool:
        return False

    def renamed(self, name: str) -> RemoteExpert:
        return RemoteExpert(self.remote, name)

    def with_base(self, base: str) -> RemoteExpert:
        """The same expert: it has no local base."""
        return self

    def write(self, folder: Path, dtype: Literal["float32", "float16"] = "float32") -> str:
        """Write name and address of the model to `folder`; returns the digest."""
        io.write_text(folder / REMOTE_FILE, json.dumps(asdict(self.remote), indent=2) + "\n")
        return self.digest

    @classmethod
    def read(cls, folder: str | Path) -> RemoteExpert:
        """The remote expert that `write` saved in `folder`. PoolError says what is wrong with it."""
        path = Path(folder) / REMOTE_FILE
        try:
            return cls(RemoteSettings(**json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError, RecursionError) as fault:
            raise PoolError(f"{path} is not a remote expert as hswarm writes it: {fault}") from fault
