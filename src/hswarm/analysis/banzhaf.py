"""What each expert was worth over all systems that growth scored (Banzhaf value), and promising orders of two."""

from __future__ import annotations

from hswarm.analysis.context import AnalysisContext, analysis
from hswarm.analysis.result import AnalysisResult, Table
from hswarm.errors import RunError
from hswarm.plots.bars import bars_svg


@analysis("banzhaf", "What each expert was worth over all systems scored", paper="Banzhaf, Rutgers Law Review 19, 1965")
def banzhaf(context: AnalysisContext) -> AnalysisResult:
    """How much higher systems with an expert scored than those without it, from the search's own scores: no calls.

    RunError unless the run's method is growth.
    """
    found = context.run.report.growth
    if found is None:
        method = context.run.recipe.search.method
        raise RunError(f"method '{method}' keeps no scores of parts; use --only credit, or search with growth")
    ranked = sorted(found.experts.items(), key=lambda pair: -pair[1])
    used = {expert.name for expert in context.system.experts}
    rows = tuple((name, f"{value:+.3f}", "yes" if name in used else "") for name, value in ranked)
    orders = tuple((f"{first} -> {then}", f"{float(score):.3f}") for first, then, score in found.orders)
    best = f"{ranked[0][0]} was worth most ({ranked[0][1]:+.3f})" if ranked else "no expert was scored"
    return AnalysisResult(
        "banzhaf",
        "What each expert was worth",
        (f"over {found.tried:,} systems scored on dev, {best}",),
        (
            Table("Gain of the best system of a set of experts by one more", ("expert", "gain", "in the system"), rows),
            Table("Orders that the search expects most of", ("order", "expected score"), orders),
        ),
        bars_svg([name for name, _ in ranked], [value for _, value in ranked], "gain by expert (Banzhaf value)"),
        {"experts": found.experts, "orders": found.orders},
        context.spent(),
    )
