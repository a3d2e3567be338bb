"""What comes with the package beside code, in the wheel or in a checkout: ten micro experts with their base, and the
recipe that trains six experts of SmolLM2."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from hswarm import io
from hswarm.errors import UserError

_PACKAGE = Path(__file__).parents[1] / "worlds"  # in a wheel
_CHECKOUT = Path(__file__).parents[3]  # where the wheel takes them from


def world(name: str = "micro") -> Path:
    """The folder with `base/` and `pool/` of a world. UserError if this installation carries none."""
    places = (root / name / "pool" for root in (_PACKAGE, _CHECKOUT / "experts"))
    return _carried(places, f"the world '{name}'").parent


def copy_world(folder: Path, name: str = "micro") -> Path:
    """Copy base and pool of a world into `folder`, unless they are there; returns `folder`."""
    for part in ("base", "pool"):
        if not (folder / part).is_dir():
            shutil.copytree(world(name) / part, folder / part)
    return folder


def copy_lessons(folder: Path) -> Path:
    """Copy the recipe that trains the SmolLM2 pool, into `folder`, unless it is there; returns its path."""
    path = folder / "smollm2-pool.toml"
    if not path.exists():
        source = _carried((root / "recipes" / path.name for root in (_PACKAGE, _CHECKOUT)), path.name)
        io.write_text(path, source.read_text(encoding="utf-8").replace('"../experts/smollm2"', '"smollm2"'))
    return path


def _carried(places: Iterable[Path], what: str) -> Path:
    """The first of `places` that is there. UserError if this installation lacks `what`."""
    if found := next((place for place in places if place.exists()), None):
        return found
    raise UserError(f"this installation of hswarm does not carry {what}; reinstall it: pip install hswarm")
