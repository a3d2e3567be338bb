"""The paper's analyses as functions of a finished run, one file each: (AnalysisContext) -> AnalysisResult.

They are declared by `@analysis` where they are defined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hswarm.analysis.context import AnalysisContext, Options
from hswarm.analysis.context import analysis as room
from hswarm.analysis.result import AnalysisResult
from hswarm.errors import ConfigError, UserError
from hswarm.options import configured
from hswarm.registry import near
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress


def analysis_names(text: str, options: Options | None = None) -> list[str]:
    """Names of "a,b" or "all", each checked; "all" leaves out what needs an option that is not given."""
    chosen = room.chosen(text)
    if text == "all":
        given = options or Options()
        chosen = [name for name in chosen if not (needs := room.about(name).needs) or getattr(given, needs)]
    if not chosen:
        raise ConfigError([f"--only takes names with commas between: {', '.join(room.names)}"])
    return chosen


def analyze(
    path: str | Path,
    names: Sequence[str],
    options: Options | None = None,
    progress: Progress | None = None,
    refused: Callable[[str, UserError], None] | None = None,
) -> Iterator[AnalysisResult]:
    """Carry out analyses of the run at `path`, each kept in the run's folder `analysis` when it is done.

    One that this run does not allow raises UserError, or is told to `refused` and left out.
    """
    options, run = options or Options(), Run.open(path)
    made = {name: configured(room.get(name), options.own.get(name, {}), name) for name in names}
    if unused := sorted(options.own.keys() - made.keys()):
        raise ConfigError([f"--set {unused[0]}: this analysis is not carried out{near(unused[0], made)}"])
    if run.finished:
        run.history()  # a damaged run is refused, not analysed in part
    with run, AnalysisContext.open(run, options, progress) as subject:
        for name, carry_out in made.items():
            subject.begin(name)
            try:
                finding: AnalysisResult = carry_out(subject)
            except UserError as fault:
                if not refused:
                    raise
                refused(name, fault)
                continue
            finding.write(run.path)
            yield finding
