"""The first lines of a report, for a reader who does not know the method: what was searched and found, what it costs,
and whether to believe it.
"""

from __future__ import annotations

from hswarm.analysis.result import AnalysisResult
from hswarm.runs.schema import Report

_FEW = 100  # test questions: below, intervals are wider than most gains
_UNREADABLE = 0.1  # of the replies of the best single expert: above, a gain may be one of form


def overview(report: Report, tools: int = 0, harm: AnalysisResult | None = None) -> dict[str, str]:
    """Sentences about a finished run by what they tell: searched, found, gain, cost, trust, whom to keep out.

    `tools` are in the pool; `harm` is what the analysis of that name found, if it was made.
    """
    told = {
        "What was searched": _searched(report, tools),
        "What was found": _found(report),
        "What it gains": _gain(report),
        "What it costs": _cost(report),
        "Whether to trust it": _trust(report),
        "Whom to keep out": _harmful(harm) if harm else "",
    }
    return {key: text for key, text in told.items() if text}


def _searched(report: Report, tools: int) -> str:
    experts = f"{len(report.singles) - tools} language models (the experts)"
    if tools:
        experts += f" and {tools} tool{'s' * (tools > 1)}"
    return (
        f"The best way for {experts} to answer the questions of “{report.task}” "
        "together: which expert is asked at which place (node), and which reads the replies of which before it replies."
    )


def _found(report: Report) -> str:
    topology = report.topology.topology()
    names = report.topology.assignment
    sink = names[topology.sink]
    if topology.size == 1:
        return f"A single expert, {sink}, is best asked alone."
    heard = _listed([names[node] for node in topology.predecessors(topology.sink)])
    different = len(set(names))
    return (
        f"A system of {topology.size} nodes, with {different} different expert{'s' * (different > 1)}, that reply in "
        f"{topology.depth} rounds. {sink} gives the answer, after reading what {heard} replied."
    )


def _gain(report: Report) -> str:
    test, single, start = report.test, report.best_single, report.start
    if not test or test.score is None or not single.test or single.test.score is None:
        return ""
    text = (
        f"On {test.n} test questions, which the search never saw, it scores {test.score:.3f}; the best single "
        f"expert, {single.expert}, scores {single.test.score:.3f}"
    )
    if gain := report.gain_on_test:
        low, high = gain.ci
        text += f": {gain.difference:+.3f} (95 % interval {low:+.3f} to {high:+.3f})"
    if start.test and start.test.score is not None:
        began = start.test.score
        text += f". The best of the first graphs, where the search began, scores {began:.3f}: {test.score - began:+.3f}"
    unread = unparsed(report)
    return f"{text}. {unread[0].upper()}{unread[1:]}." if unread else f"{text}."


def unparsed(report: Report) -> str:
    """In how many replies on test no answer could be read, "" if unknown: a gain may be one of form alone."""
    counts = [report.test_faults.get(role, {}).get("unparsed") for role in ("best_single", "found")]
    if not report.test or counts[0] is None:
        return ""
    if counts == [0, 0]:
        return f"an answer could be read in each of the {report.test.n} replies of either"
    own = f", and in {counts[1]} of the system's" if counts[1] is not None else ""
    return f"no answer could be read in {counts[0]} of the best single expert's {report.test.n} replies{own}"


def _cost(report: Report) -> str:
    nodes, calls, tokens = report.topology.size, report.calls, report.tokens
    each = (tokens.prompt + tokens.completion) / calls.generated if calls.generated else 0
    about = f", about {each * nodes:,.0f} tokens by the search's average" if each else ""
    return (
        f"An answer takes the repl{'ies' if nodes > 1 else 'y'} of {nodes} node{'s' * (nodes > 1)}{about}; a single "
        f"expert's answer takes one. The search itself made {calls.generated:,} calls in {report.wall_s:,.0f} s."
    )


def _trust(report: Report) -> str:
    doubts = []
    test, gain = report.test, report.gain_on_test
    if not test:
        return "The score was never checked on questions that the search did not see."
    if gain and gain.ci[0] <= 0 <= gain.ci[1]:
        doubts.append("the interval of the gain includes zero, so there may be none")
    elif gain and gain.ci[1] < 0:
        doubts.append("the system is worse than its best expert alone")
    if test.n < _FEW:
        doubts.append(f"{test.n} test questions are few")
    unparsed = report.test_faults.get("best_single", {}).get("unparsed", 0)
    if unparsed > _UNREADABLE * test.n:
        doubts.append(
            f"no answer could be read in {unparsed} of the best single expert's {test.n} replies, so part of the "
            "gain may be in the form of replies alone"
        )
    if report.overlap:
        doubts.append(f"{report.overlap} test questions were searched on too")
    if not gain:
        doubts.append("it was not compared with the best single expert question by question")
    if not doubts:
        return "Yes, for questions like these: the search never saw them, and the interval of the gain is above zero."
    return f"With care: {'; '.join(doubts)}."


def _harmful(harm: AnalysisResult) -> str:
    names = harm.numbers.get("harmful")
    if not names or not isinstance(names, list):
        return ""
    return (
        f"{_listed([str(name) for name in names])}: the answer gets worse where the last node reads such a reply "
        "too, by more than with most other experts'. To be rid of it, leave it out of pool.experts and search again."
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
