"""The licence of every package that hswarm and its extras bring in, from what is installed here: docs/licences.md.

python benchmarks/licences.py > docs/licences.md
"""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError, distribution, metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def closure() -> dict[str, Distribution]:
    """Installed packages that hswarm needs, its extras included, by name; those that are absent are left out."""
    extras = metadata("hswarm").get_all("Provides-Extra") or []
    found: dict[str, Distribution] = {}
    waiting = [("hswarm", extra) for extra in ["", *extras]]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[canonicalize_name(name)] = package
        for text in package.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                for one in ("", *needed.extras):
                    if (pair := (needed.name, one)) not in seen:
                        seen.add(pair)
                        waiting.append(pair)
    return found


def licence(package: Distribution) -> str:
    """The SPDX expression, else the classifiers, else the first line of the licence field."""
    told = package.metadata
    classifiers = [c.split(" :: ")[-1] for c in told.get_all("Classifier") or () if c.startswith("License :: OSI")]
    text = (told["License"] or "").strip().splitlines()
    return told["License-Expression"] or " and ".join(classifiers) or (text[0][:60] if text else "not stated")


def main() -> None:
    """The table as Markdown."""
    print(
        "# Licences of dependencies\n\nWritten by `python benchmarks/licences.py` from the installed packages' own "
        "metadata.\n\n| package | version | licence |\n|---|---|---|"
    )
    for name, package in sorted(closure().items()):
        print(f"| {name} | {package.version} | {licence(package)} |")


if __name__ == "__main__":
    main()
