"""Collaborative gain: what the system solves by how many experts solve it alone (arXiv 2502.04510, section 5)."""

from __future__ import annotations

import numpy as np

from hswarm import io
from hswarm.analysis.context import AnalysisContext, analysis, whole
from hswarm.analysis.result import AnalysisResult, Table
from hswarm.core.gain import CGain, collaborative_gain
from hswarm.plots.bars import bars_svg
from hswarm.scorers.base import SOLVED


@analysis("gain", "What the system solves, by how many experts solve it alone", paper="arXiv 2502.04510")
def gain(subject: AnalysisContext) -> AnalysisResult:
    """C-Gain of the found system over the pool's experts as they were before the search, on test by default."""
    experts, split = subject.session.pool.experts, subject.split("test")
    examples = subject.examples(split, len(experts) + subject.system.calls)
    scores = subject.scores([subject.system, *map(subject.system.alone, experts)], examples, "experts alone")
    solved = scores[:, whole(scores)] >= SOLVED
    found = collaborative_gain(solved[0], solved[1:], np.random.default_rng(0))
    rows = tuple(
        (
            str(bucket.solvers),
            str(bucket.questions),
            _share(bucket.accuracy),
            f"{bucket.expected:.3f}",
            _share(bucket.accuracy - bucket.expected, "+.3f"),
        )
        for bucket in found.buckets
    )
    kept = [bucket for bucket in found.buckets if bucket.questions]
    picture = bars_svg(
        [f"{b.solvers} of {len(experts)} solve it ({b.questions})" for b in kept],
        [b.accuracy for b in kept],
        "share solved by the system; tick: by an expert at random",
        marks=[b.expected for b in kept],
    )
    head = ("experts that solve it", "questions", "system's accuracy", "k / n", "gain")
    return AnalysisResult(
        "gain",
        "Collaborative gain",
        _says(found, split, solved.shape[1]),
        (Table(f"Questions of {split} by how many of {len(experts)} experts solve them alone", head, rows),),
        picture,
        _numbers(found, split),
        subject.spent(),
    )


def _says(found: CGain, split: str, questions: int) -> tuple[str, ...]:
    low, high = found.interval
    first = (
        f"C-Gain on {questions} {split} questions: {found.value:+.3f} (95 % interval {low:+.3f} to {high:+.3f}); "
        "solved is a score of at least 0.5"
    )
    nobody = found.nobody
    second = f"{round(nobody.accuracy * nobody.questions)} of {nobody.questions} questions that no expert solves alone"
    share = f" ({nobody.accuracy:.1%}) the system solves" if nobody.questions else ""
    flattered = ("dev was searched on, so these figures flatter the system; --split test does not",) * (split == "dev")
    return first, (second + share) if share else "every question is solved by some expert alone", *flattered


def _share(value: float, form: str = ".3f") -> str:
    return "" if np.isnan(value) else format(value, form)


def _numbers(found: CGain, split: str) -> dict[str, object]:
    buckets = [
        {"solvers": b.solvers, "questions": b.questions, "expected": b.expected, "accuracy": io.without_nan(b.accuracy)}
        for b in found.buckets
    ]
    return {"split": split, "c_gain": found.value, "ci": list(found.interval), "buckets": buckets}
