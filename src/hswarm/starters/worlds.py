"""The small world that comes with the package: ten micro experts and their base, in the wheel or in a checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

from hswarm.errors import UserError

_PACKAGE = Path(__file__).parents[1] / "worlds"  # in a wheel
_CHECKOUT = Path(__file__).parents[3] / "experts"  # in a checkout, where the wheel takes it from


def world(name: str = "micro") -> Path:
    """The folder with `base/` and `pool/` of a world. UserError if this installation carries none."""
    for root in (_PACKAGE, _CHECKOUT):
        if (root / name / "pool").is_dir():
            return root / name
    raise UserError(f"this installation of hswarm does not carry the world '{name}'; reinstall it: pip install hswarm")


def copy_world(folder: Path, name: str = "micro") -> Path:
    """Copy base and pool of a world into `folder`, unless they are there; returns `folder`."""
    for part in ("base", "pool"):
        if not (folder / part).is_dir():
            shutil.copytree(world(name) / part, folder / part)
    return folder
