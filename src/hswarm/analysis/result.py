"""The result of an analysis of a run: sentences, tables, a picture, the numbers behind them; kept in `analysis/`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hswarm import io
from hswarm.errors import RunError
from hswarm.records import first_fault

FOLDER = "analysis"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text under a head, as Markdown."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@dataclass(frozen=True)
class Table:
    """Rows of text under a head."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        return f"{self.title}:\n\n{markdown_table(self.head, self.rows)}"


@dataclass(frozen=True)
class AnalysisResult:
    """The result of the analysis `name`. `says` holds one statement a line; `svg` is a picture, "" where there is none.

    `calls`: how many were asked for, how many of them made now, and the most that might have been made.
    """

    name: str
    title: str
    says: tuple[str, ...]
    tables: tuple[Table, ...] = ()
    svg: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)

    def markdown(self) -> str:
        """Title, statements, tables, the picture as a file beside, the calls."""
        parts = [f"## {self.title}", "\n".join(f"- {line}" for line in self.says)]
        parts += [table.markdown() for table in self.tables]
        if self.svg:
            parts.append(f"![{self.title}]({self.name}.svg)")
        if self.calls:
            parts.append("Calls: {asked} asked for, {made} made now, {most} allowed.".format(**self.calls))
        return "\n\n".join(parts)

    def write(self, run: Path) -> None:
        """Keep it in the run's folder `analysis`, replacing what an earlier analysis of the name found."""
        content = json.dumps(asdict(self), indent=2) + "\n"
        io.write_text(run / FOLDER / f"{self.name}.json", content)
        if self.svg:
            io.write_text(run / FOLDER / f"{self.name}.svg", self.svg + "\n")


def read_findings(run: Path) -> list[AnalysisResult]:
    """What analyses of the run found so far, by name; [] if there was none."""
    return [_read(path) for path in sorted((run / FOLDER).glob("*.json"))]


def write_page(run: Path, findings: Sequence[AnalysisResult], title: str) -> Path:
    """All findings as one Markdown page beside their pictures; returns where it is."""
    path = run / FOLDER / "analysis.md"
    io.write_text(path, "\n\n".join([f"# {title}", *(finding.markdown() for finding in findings)]) + "\n")
    return path


def _read(path: Path) -> AnalysisResult:
    try:
        return TypeAdapter(AnalysisResult).validate_python(io.read_json(path, "an analysis"))
    except ValidationError as fault:
        told = first_fault(fault)
        raise RunError(
            f"{path} is not an analysis as this version writes it ({told}); delete it and analyse again"
        ) from fault
