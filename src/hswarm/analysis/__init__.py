"""The paper's analyses as functions of a finished run, one file each: (AnalysisContext) -> AnalysisResult.

Another package adds one by an entry point in the group `hswarm.analyses`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hswarm import registry
from hswarm.analysis.context import AnalysisContext, Options
from hswarm.analysis.result import AnalysisResult
from hswarm.errors import ConfigError, UserError
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress

_ROOM = "hswarm.analysis."
TABLE = {
    "gain": _ROOM + "gain:gain",
    "roles": _ROOM + "roles:roles",
    "role_changes": _ROOM + "role_changes:role_changes",
    "emergence": _ROOM + "emergence:emergence",
    "credit": _ROOM + "credit:credit",
    "importance": _ROOM + "importance:importance",
    "transfer": _ROOM + "transfer:transfer",
}


def analysis_names(text: str) -> list[str]:
    """Names of "a,b" or "all", each checked."""
    known, chosen = registry.names("analyses", TABLE), registry.listed("analyses", TABLE, text)
    if faults := [f"no analysis '{name}'{registry.near(name, known)}" for name in chosen if name not in known]:
        raise ConfigError(faults)
    if not chosen:
        raise ConfigError([f"--only takes names with commas between: {', '.join(known)}"])
    return chosen


def analyze(
    path: str | Path,
    names: Sequence[str],
    options: Options | None = None,
    progress: Progress | None = None,
    refused: Callable[[str, UserError], None] | None = None,
) -> Iterator[AnalysisResult]:
    """Carry out analyses of the run at `path`, each kept in the run's folder `analysis` when it is done.

    One that cannot be had of this run raises UserError, or is told to `refused` and left out.
    """
    run = Run.open(path)
    if run.finished:
        run.history()  # a damaged run is refused, not analysed in part
    with run, AnalysisContext.open(run, options or Options(), progress) as subject:
        for name in names:
            subject.begin(name)
            try:
                finding: AnalysisResult = registry.lookup("analyses", TABLE, name)(subject)
            except UserError as fault:
                if not refused:
                    raise
                refused(name, fault)
                continue
            finding.write(run.path)
            yield finding
