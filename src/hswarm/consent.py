"""What the user allows other people's files to do: send questions to an address, use a key, run Python.

Recipes, runs, bundles and pools may be a stranger's, so what they name is not enough. The user allows it by `--allow`,
by `hswarm.allow`, by the variable HSWARM_ALLOW (spaces between), or for good by `allow = [...]` in config.toml:

    "https://api.example.org/v1=EXAMPLE_KEY"   send questions there, with the key in $EXAMPLE_KEY or without a key
    "https://api.example.org"                  send questions to any port and path of this host, without a key
    "ray://10.0.0.5:10001"                     join this Ray cluster
    "my_scorers:lenient"                       import and run this Python
    "code"                                     run replies as programs (scorer "code", tool "python")
    "wandb"                                    send a run's numbers to Weights & Biases
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from hswarm.errors import ConfigError, ConsentError

VARIABLE = "HSWARM_ALLOW"
_WORDS = ("code", "wandb")
_ADDRESS = re.compile(r"(?P<url>[a-z]+://[!-~]+?)(?:=(?P<key>[A-Z_][A-Z0-9_]*))?")
_PYTHON = re.compile(r"[\w.]+:\w+")


class _Place(NamedTuple):
    scheme: str
    host: str
    port: int | None
    path: str

    @classmethod
    def of(cls, url: str) -> _Place:
        parts = urlsplit(url)
        return cls(parts.scheme, parts.hostname or "", parts.port, parts.path.rstrip("/"))

    def covers(self, other: _Place) -> bool:
        """Whether `other` is the same host and, where this names a port or a path, the same port and under the path.

        Nothing is under a path that goes up again ("..", however it is written): the server might follow it.
        """
        same_port = self.port in (None, other.port)
        goes_up = ".." in unquote(unquote(other.path)).replace("\\", "/").split("/")
        under = not self.path or (f"{other.path}/".startswith(f"{self.path}/") and not goes_up)
        return (self.scheme, self.host) == (other.scheme, other.host) and same_port and under


def allow(*entries: str) -> None:
    """Allow what `entries` name, in this process and those it starts. ConfigError for an entry of no known form."""
    if faults := [fault for entry in entries if (fault := _fault(entry))]:
        raise ConfigError(faults)
    os.environ[VARIABLE] = " ".join([*os.environ.get(VARIABLE, "").split(), *entries])


@contextmanager
def allowed(*entries: str) -> Iterator[None]:
    """`allow`, for a while."""
    before = os.environ.get(VARIABLE)
    try:
        allow(*entries)
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def check_address(url: str, key: str = "", *, what: str) -> None:
    """ConsentError unless `what` may connect to `url` and send the content of variable `key` there ("" for none)."""
    place = _Place.of(url)
    for entry in _entries():
        found = _ADDRESS.fullmatch(entry)
        if found and _Place.of(found["url"]).covers(place) and key in ("", found["key"]):
            return
    secret = f" with the key in ${key}" if key else ""
    raise ConsentError(f"{what} would connect to {url}{secret}; {_remedy(f'{url}={key}' if key else url)}")


def check_python(name: str) -> None:
    """ConsentError unless "module:attribute" may be imported; what the running script itself holds always may."""
    if not name.startswith("__main__:") and name not in _entries():
        raise ConsentError(f"'{name}' is Python that would be imported and run; {_remedy(name)}")


def check_word(word: str, what: str) -> None:
    """ConsentError unless `word` ("code", "wandb") is allowed; `what` says what would happen."""
    if word not in _entries():
        raise ConsentError(f"{what}; {_remedy(word)}")


def config_file() -> Path:
    """The user's own settings, which may hold `allow`."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "hswarm" / "config.toml"


def _entries() -> list[str]:
    entries = [*os.environ.get(VARIABLE, "").split(), *_from_file(config_file())]
    if faults := [fault for entry in entries if (fault := _fault(entry))]:
        raise ConfigError(faults)
    return entries


def _from_file(path: Path) -> list[str]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as fault:
        raise ConfigError([f"{path} cannot be read as TOML: {fault}"]) from fault
    entries = content.get("allow", [])
    if set(content) - {"allow"} or not isinstance(entries, list) or not all(isinstance(e, str) for e in entries):
        raise ConfigError([f'{path}: expected one line, allow = ["..."], and nothing else'])
    return entries


def _fault(entry: str) -> str:
    if entry in _WORDS or _PYTHON.fullmatch(entry):
        return ""
    if (found := _ADDRESS.fullmatch(entry)) and urlsplit(found["url"]).hostname:
        return ""
    return f"'{entry}' cannot be allowed; expected URL, URL=VARIABLE, module:attribute, or one of: {', '.join(_WORDS)}"


def _remedy(entry: str) -> str:
    return f"if you want that, add --allow '{entry}', or \"{entry}\" to `allow` in {config_file()} (see SECURITY.md)"
