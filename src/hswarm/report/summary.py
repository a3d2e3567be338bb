"""What there is to say about a run, finished or not: plain values and drawings that pages, terminal and trackers show.

No model is opened: everything is read from the run's directory.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from hswarm import io
from hswarm.analysis.result import AnalysisResult, read_findings
from hswarm.config.recipe import read_recipe
from hswarm.core.topology import Topology
from hswarm.errors import ConfigError, RunError
from hswarm.plots.charts import Line, curve_svg, lines_svg, paths_svg, projected
from hswarm.plots.graph import graph_mermaid, graph_svg
from hswarm.records import checked
from hswarm.report.examples import Examples, read_examples
from hswarm.report.overview import overview, unparsed
from hswarm.report.table import HEAD, cells
from hswarm.runs.comparison import Comparison
from hswarm.runs.cost import forecast_text
from hswarm.runs.directory import Run
from hswarm.runs.schema import Report, Summary, spoken_step
from hswarm.session.records import Ancestor, Fault, Generation, HistoryEntry
from hswarm.system.record import SystemRecord

T = TypeVar("T")
_ROLES = {"found": "the found system", "start": "the best first graph", "best_single": "the best single expert"}
_FAULTS: dict[Fault, str] = {
    "unparsed": "could not be parsed",
    "empty": "were empty",
    "cut": "were cut off",
    "failed": "failed",
}

_ENDS = {
    "patience": "{} iterations without a new best",
    "budget": "{} calls, all that the budget allows",
    "perfect": "a perfect score on dev",
    "exhausted": "trying all {} systems there are",
}


class Node(NamedTuple):
    """A node of the found graph: who it is and what it does there. `number` and those of `hears` count from one.

    `score` is that of its replies on dev if they were the answer, and `adds` how much that is above the best of those
    that it reads; `jfk` is its expert's JFK-score. None where unknown.
    """

    number: int
    expert: str
    role: str
    hears: str
    score: float | None
    adds: float | None
    jfk: float | None


@dataclass(frozen=True)
class RunSummary:
    """Everything that a page says of one run. Drawings are SVG; texts are as they came, not escaped."""

    name: str
    state: str
    searched: Mapping[str, str]
    overview: Mapping[str, str]
    came_of_it: Sequence[str]
    scores: Sequence[tuple[str, str, str]]
    iterations: Sequence[HistoryEntry]
    topology: Topology | None
    nodes: Sequence[Node]
    charts: Mapping[str, str]
    drawing: str
    mermaid: str
    table: tuple[Sequence[str], Sequence[Sequence[str]]] | None
    examples: Examples
    by_group: tuple[Sequence[str], Sequence[Sequence[str]]] | None
    cost: Mapping[str, str]
    warnings: Sequence[str]
    commands: Sequence[str]
    recipe: str
    versions: Mapping[str, str] = field(default_factory=dict)
    findings: Sequence[AnalysisResult] = ()


def gather(run: Run, comparison: Path | None = None) -> RunSummary:
    """The facts of `run` as it stands. `comparison` is the folder of a comparison (default: <name>-compare beside it).

    What cannot be read is left out, with a warning. RunError if report or history is damaged, or if `comparison` was
    named and is not one of this task and pool.
    """
    report, left_out = run.report if run.finished else None, list[str]()
    history = run.history()
    topology, assignment = _found(run, report)
    examples = _read(left_out, lambda: read_examples(run, topology, assignment)) or Examples(
        [], "Single answers cannot be read."
    )
    nodes = _nodes(topology, assignment, examples.nodes, _scored_at(history, report)) if topology else []
    names = [node.expert for node in nodes]
    notes = [node.role if node.score is None else f"{node.role}, {node.score:.2f}" for node in nodes]
    paths = _read(left_out, lambda: _paths(run, history, report)) if history else {}
    table = _table(run, comparison) if comparison else _read(left_out, lambda: _table(run, None))
    findings = _read(left_out, lambda: read_findings(run.path)) or []
    harm = next((finding for finding in findings if finding.name == "harm"), None)
    return RunSummary(
        name=run.recipe.name,
        state=run.state,
        searched=_searched(run, report),
        overview=overview(report, len(run.recipe.pool.tools), harm) if report else {},
        came_of_it=[*came_of_it(report), *_harm(run, harm)]
        if report
        else so_far(run, history) + _on_the_way(run, left_out),
        scores=_scores(report, history),
        iterations=history,
        topology=topology,
        nodes=nodes,
        charts=_charts(history) | (paths or {}),
        drawing=graph_svg(topology, names, notes) if topology else "",
        mermaid=graph_mermaid(topology, names) if topology else "",
        table=table,
        examples=examples,
        by_group=_by_group(report) if report and report.groups else None,
        cost=cost(report) if report else cost_so_far(history[-1] if history else None),
        warnings=warnings(report, history) + left_out,
        commands=_commands(run),
        recipe=(run.path / "config.toml").read_text(encoding="utf-8"),
        versions=report.versions if report else {},
        findings=findings,
    )


def _read(left_out: list[str], read: Callable[[], T]) -> T | None:
    """What `read` gives; None if it cannot, and why is added to `left_out`."""
    try:
        return read()
    except RunError as fault:
        left_out.append(f"left out: {fault}")
        return None


def came_of_it(report: Report) -> list[str]:
    """The outcome of a finished run in sentences."""
    reasons = ", ".join(_ENDS.get(reason, "{} " + reason).format(f"{v:g}") for reason, v in report.stopped.items())
    said = [f"best system found in {spoken_step(report.found_at)}; the search ended after {reasons}"]
    for name, gain in (("best single", report.gain_on_test), ("start", report.gain_over_start)):
        if gain:
            low, high = gain.ci
            verdict = "a gain" if low > 0 else "a loss" if high < 0 else "no difference that this many questions show"
            said.append(f"found - {name} on test: {gain}, p {_p(gain.p_value)}: {verdict}")
    if unread := unparsed(report):
        said.append(unread)
    return said + lineage(report)


def lineage(report: Report) -> list[str]:
    """The moves that led to the system that growth found and what each gained; which experts it relies on."""
    if not (growth := report.growth):
        return []
    said = [f"{growth.tried:,} systems were scored; the moves that led to the best one:", *_moves(growth.lineage)]
    ranked = sorted(growth.experts.items(), key=lambda pair: -pair[1])
    said.append("gain by expert (Banzhaf): " + ", ".join(f"{name} {value:+.3f}" for name, value in ranked))
    if growth.orders:
        orders = ", ".join(f"{first} -> {then}" for first, then, _ in growth.orders[:5])
        said.append(f"most promising orders: {orders}")
    return said


def _harm(run: Run, found: AnalysisResult | None) -> Sequence[str]:
    """Whose reply harms, or which command asks that: an expert's value to the search does not tell."""
    command = f"hswarm analyze {shlex.quote(str(run.path))} --only harm"
    return found.says if found else [f"not asked yet: whether an expert's reply harms the system ({command})"]


def _on_the_way(run: Run, left_out: list[str]) -> list[str]:
    """The moves that led to the best system so far of a growth that goes on."""
    if not run.recipe.search.method.startswith("growth"):
        return []
    from hswarm.methods.growth.checkpoint import GrowthState
    from hswarm.methods.growth.story import lineage_so_far

    kept = _read(left_out, lambda: run.load_state(GrowthState))
    moves = _moves(lineage_so_far(*kept)) if kept else []
    return ["the moves that led to the best system so far:", *moves] if moves else []


def _moves(steps: Sequence[Ancestor]) -> list[str]:
    """A line for each move on the way to a system."""
    said: list[str] = []
    before: float | None = None
    for step in steps:
        gain = "" if before is None else f" ({step.score - before:+.3f})"
        before = step.score
        said.append(
            f"  {spoken_step(step.step) if step.step else step.move}: {step.system} "
            f"{step.score:.3f}{gain} on {step.questions} questions"
        )
    return said


def tried(growth: Generation) -> str:
    """What a generation tried, and how many were still in the race after how many questions."""
    if not growth.rungs:
        return f"{growth.phase}: nothing tried"
    rungs = ", ".join(f"{count} on {questions}" for questions, count in growth.rungs)
    decide = f"; the first {growth.asked} decide so far" if growth.asked else ""
    return f"{growth.phase}: {rungs} questions{decide}"


def cost(report: Report) -> dict[str, str]:
    """What a finished run took, by kind."""
    calls, tokens = report.calls, report.tokens
    share = calls.reused / calls.requested if calls.requested else 0
    return {
        "calls": f"{calls.requested:,} calls asked for, {calls.generated:,} generated, "
        f"{calls.reused:,} reused ({share:.0%}), {calls.skipped:,} left out",
        "tokens": f"{tokens.prompt:,} prompt and {tokens.completion:,} completion tokens",
        "time": f"{report.wall_s:,.0f} s",
    } | ({"forecast": forecast_text(report.forecast)} if report.forecast else {})


def so_far(run: Run, history: Sequence[HistoryEntry]) -> list[str]:
    """How far an unfinished run is, in sentences."""
    most = f" of at most {run.recipe.search.iterations}" if run.recipe.search.method == "hswarm" else ""
    done = f"{len(history)}{most} iterations done"
    best = f"; best on dev {history[-1].best.utility:.3f}" if history else ""
    return [
        done + best,
        f"test is looked at once, at the end; continue with: hswarm resume {run.path}"
        if run.state == "interrupted"
        else "test is looked at once, at the end",
    ]


def cost_so_far(entry: HistoryEntry | None) -> dict[str, str]:
    """What a search took up to the iteration whose line of the history is `entry`, {} before the first."""
    if entry is None:
        return {}
    calls, tokens = entry.calls, entry.tokens
    share = 1 - calls.generated / calls.requested if calls.requested else 0
    return {
        "calls": f"{calls.requested:,} calls asked for, {calls.generated:,} generated ({share:.0%} reused)",
        "tokens": f"{tokens.prompt:,} prompt and {tokens.completion:,} completion tokens",
    }


def warnings(report: Report | None, history: Sequence[HistoryEntry]) -> list[str]:
    """What a reader must know before believing a score."""
    parts = [("report.json", part) for part in (report.left_out if report else ())]
    parts += [("history.jsonl", part) for entry in history for part in entry.left_out]
    said = [
        f"left out: '{part}' of {name}, which has another form than this version writes"
        for name, part in dict.fromkeys(parts)
    ]
    if report:
        if report.overlap:
            said.append(f"{report.overlap} test questions are in dev too")
        for role, counted in report.test_faults.items():
            said += _faulty(counted, f"of {_ROLES[role]} on test")
        dev, test = report.dev, report.test
        if test and test.ci and dev.score is not None and dev.score > test.ci[1]:
            said.append(
                f"the score drops from {dev.score:.3f} on dev, where it was searched, to "
                f"{test.score:.3f} on test: trust the second"
            )
    if history:
        last = history[-1]
        said += _faulty(last.faults, f"on dev in iteration {last.iteration + 1}")
    return said


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _faulty(counted: Mapping[Fault, int], where: str) -> list[str]:
    listed = ", ".join(f"{count} {words}" for kind, words in _FAULTS.items() if (count := counted.get(kind)))
    return [f"replies {where}: {listed}"] if listed else []


def _found(run: Run, report: Report | None) -> tuple[Topology | None, list[str]]:
    """Topology and assignment of the best system so far, without its weights."""
    if report:
        return report.topology.topology(), report.topology.assignment
    path = run.path / "best" / "system.json"
    if not path.is_file():
        return None, []
    described = checked(io.read_json(path, "the best system so far"), SystemRecord, path)
    return described.topology.topology(), [node.expert for node in described.nodes]


def _scored_at(history: Sequence[HistoryEntry], report: Report | None) -> Mapping[str, float | None]:
    """The JFK-scores of the iteration in which the best system was found, {} without a weight-step there."""
    at, _ = _step(history, report)
    return history[at].weight.jfk if 0 <= at < len(history) else {}


def _step(history: Sequence[HistoryEntry], report: Report | None) -> tuple[int, str]:
    """(iteration, "role" or "weight") in which the best system was found; (-1, ...) if in none."""
    step = str(report.found_at if report else history[-1].best.step if history else "")
    number, _, kind = step.partition("/")
    return int(number) if number.isdecimal() else -1, kind


def _nodes(
    topology: Topology,
    assignment: Sequence[str],
    scores: Sequence[float | None],
    jfk: Mapping[str, float | None],
) -> list[Node]:
    nodes = []
    for node, expert in enumerate(assignment):
        heard = topology.predecessors(node)
        role = "answers" if node == topology.sink else "passes on" if heard else "starts"
        reads = ", ".join(str(other + 1) for other in heard) or "nobody"
        score = scores[node] if scores else None
        before = [known for other in heard if scores and (known := scores[other]) is not None]
        adds = score - max(before) if score is not None and before else None
        nodes.append(Node(node + 1, expert, role, reads, score, adds, jfk.get(expert)))
    return nodes


def _searched(run: Run, report: Report | None) -> dict[str, str]:
    recipe, search = run.recipe, run.recipe.search
    steps = {"role": f"{search.graphs} graphs", "weight": f"{search.assignments} assignments"}
    told = {
        "task": report.task if report else recipe.task.name or Path(recipe.task.path).name,
        "questions": f"{report.dev.n} dev" + (f", {report.test.n} test" if report.test else "") if report else "",
        "experts": ", ".join(report.singles) if report else ", ".join(recipe.pool.experts),
        "tools": ", ".join(tool.name for tool in recipe.pool.tools),
        "method": search.method,
    }
    if search.method == "hswarm":
        told |= {
            "an iteration": ", ".join(steps[step] for step in search.steps),
            "at most": f"{search.iterations} iterations, {search.patience} without a new best; {recipe.budget.text()}",
        }
    told |= {
        "budget": "" if search.method == "hswarm" else recipe.budget.text(),
        "engine": recipe.engine.name,
        "base": recipe.pool.base,
        "seed": str(recipe.seed),
        "preset": recipe.preset,
    }
    return {key: text for key, text in told.items() if text}


def _scores(report: Report | None, history: Sequence[HistoryEntry]) -> list[tuple[str, str, str]]:
    if report:
        single = report.best_single
        others = sorted(report.singles.items(), key=lambda one: -(one[1] or 0))
        on_test = {name: "-" if score is None else f"{score:.3f}" for name, score in report.singles_test.items()}
        alone = [
            (f"{name} alone", f"{score:.3f}", on_test.get(name, "-"))
            for name, score in others
            if name != single.expert and score is not None
        ]
        return [*alone[::-1], *report.rows]
    if not history:
        return []
    best = history[-1].best
    return [("best so far", str(Summary(score=best.utility, n=0, ci=best.ci)), "-")]


def _by_group(report: Report) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """The scores by task or domain: head and rows, the gain over the best single expert last."""
    rows = []
    for name, group in report.groups.items():
        found, single = group.found.score, group.best_single.score if group.best_single else None
        gain = f"{found - single:+.3f}" if found is not None and single is not None else "-"
        cells = [str(group.best_single or "-"), str(group.start or "-"), str(group.found), gain]
        rows.append([name, str(group.found.n), *cells])
    split = "test" if report.test else "dev"
    return [f"{split} questions of", "n", "best single expert", "start", "found system", "gain"], rows


def _charts(history: Sequence[HistoryEntry]) -> dict[str, str]:
    """Scores by iteration, and the experts' JFK-scores."""
    if not history:
        return {}
    kinds = {
        "best of roles": [entry.role for entry in history],
        "best of weights": [entry.weight for entry in history],
        "best of each step": [entry.scored for entry in history],
    }
    lines = [Line(name, [step.highest for step in steps], [step.ci for step in steps]) for name, steps in kinds.items()]
    lines.append(
        Line(
            "best of all",
            [entry.best.utility for entry in history],
            [entry.best.ci for entry in history],
        )
    )
    drawn = {"scores": lines_svg([line for line in lines if any(v is not None for v in line.values)], "score on dev")}
    if history[-1].growth:
        at = [float(entry.calls.generated) for entry in history]
        drawn = {"scores": curve_svg(at, {"best so far": lines[-1].values}, "score on dev")}
    names = list(dict.fromkeys(name for entry in history for name in entry.weight.jfk))
    if names:
        jfk = [Line(name, [entry.weight.jfk.get(name) for entry in history]) for name in names]
        drawn["jfk"] = lines_svg(jfk, "JFK-score")
    return drawn


def _paths(run: Run, history: Sequence[HistoryEntry], report: Report | None) -> dict[str, str]:
    """How adjacency matrices and experts moved, each swarm on its own plane."""
    trail = run.places()
    names = list(history[-1].weight.jfk) if history else []
    drawn = {}
    for swarm in sorted(trail[0]) if trail else ():
        stood = [there[swarm] for there in trail if swarm in there]
        if len({there.shape for there in stood}) > 1 or stood[0].ndim != 2:
            raise RunError(f"{run.path / 'trail'} holds other positions of swarm '{swarm}' than this version writes")
        places, (first, second) = projected(stood)
        labels = (f"first axis ({first:.0%} of the movement)", f"second ({second:.0%})")
        roles = swarm == "role"
        points = [f"graph {i + 1}" for i in range(places.shape[1])] if roles else names
        if len(points) != places.shape[1]:  # experts of several bases: a swarm each, and no names in the history
            points = [f"expert {i + 1}" for i in range(places.shape[1])]
        if places.shape[0] > 1 and np.ptp(places) > 0:
            drawn[swarm] = paths_svg(places, points, labels, _star(history, report) if roles else (-1, -1))
    return drawn


def _star(history: Sequence[HistoryEntry], report: Report | None) -> tuple[int, int]:
    """(iteration, graph) of the best system, if a role-step found it."""
    at, kind = _step(history, report)
    if not kind.startswith("role") or not 0 <= at < len(history):
        return -1, -1
    utilities = history[at].role.utilities
    known = [-np.inf if value is None else value for value in utilities]
    return (at, int(np.argmax(known))) if known else (-1, -1)


def _table(run: Run, comparison: Path | None) -> tuple[Sequence[str], Sequence[Sequence[str]]] | None:
    folder = comparison or run.path.parent / f"{run.recipe.name}-compare"
    recipe = folder / "recipes" / f"{run.recipe.name}.toml"
    ours = False
    if recipe.is_file() and (folder / "table.json").is_file():
        try:
            compared = read_recipe(recipe)
        except ConfigError as fault:
            raise RunError(f"{recipe} is no recipe of this version ({fault}); repeat the comparison") from fault
        ours = (compared.task, compared.pool) == (run.recipe.task, run.recipe.pool)
    if not ours and comparison:
        raise RunError(
            f"{comparison} holds no finished comparison of recipe '{run.recipe.name}' on the run's task and "
            "pool; make it with: hswarm compare"
        )
    if not ours:
        return None
    made = checked(io.read_json(folder / "table.json", "a comparison"), Comparison, folder / "table.json")
    return HEAD, [cells(row) for row in made.tasks.get(run.recipe.name, [])]


def _commands(run: Run) -> list[str]:
    config = shlex.quote(str(run.path / "config.toml"))
    return [f"hswarm search {config} --run runs/again", f"hswarm show {shlex.quote(str(run.path))}"]
