"""The results that the paper prints, and what they rest on. Nothing here was measured by hswarm.

Figures: arXiv 2502.04510 in its NeurIPS 2025 version (OpenReview zYEZ5KqtDO), test scores with Gemma-7B experts, each
the best on dev of 50 to 200 runs. Gains and p-values are computed here from them.
"""

from __future__ import annotations

from math import erfc, sqrt
from typing import NamedTuple

import numpy as np

from hswarm.analysis.result import Table

SOURCE = (
    "Printed in arXiv 2502.04510 (NeurIPS 2025, OpenReview zYEZ5KqtDO): test scores with Gemma-7B experts. Not "
    "measured by hswarm, on other models and questions than hswarm's own tables: the two are not to be compared."
)
OURS = "h-swarms"
ABLATIONS = ("w/o role", "w/o weight")
WEIGHTS = ("greedy soup", "pack of llms", "lorahub", "model swarms")  # that adapt to the task, its "dynamic" methods
ROLES = ("gpt-swarm", "meta-agent", "agent-prune", "gnns", "agentverse", "macnet")
_FIGURES = """
best single      | .231 .346 .488 .237 .535 .545 .107 .383 .120 .174 .065 .415
prediction merge | .173 .309 .391 .074 .502 .481 .036 .225 / / / .471
data merge       | .176 .370 .377 .143 .423 .415 .071 .242 .112 .147 -.025 .461
uniform soup     | .206 .295 .519 .352 .500 .430 .036 .392 .105 .166 .003 .455
dare-ties        | .230 .372 .476 .307 .544 .427 .071 .300 .108 .137 .140 .515
greedy soup      | .219 .355 .539 .330 .530 .543 .071 .333 .114 .184 .014 .565
pack of llms     | .235 .352 .512 .327 .532 .543 .143 .392 .106 .157 .095 .545
lorahub          | .231 .291 .502 .354 .568 .548 .071 .375 .106 .169 .064 .530
model swarms     | .254 .428 .505 .459 .672 .554 .107 .358 .135 .225 .175 .540
chain            | .216 .310 .495 .295 .462 .489 .143 .325 .148 .218 .014 .493
star             | .250 .342 .508 .333 .545 .518 .036 .283 .130 .216 .125 .499
gpt-swarm        | .216 .320 .460 .334 .611 .510 .143 .333 .134 .216 .023 .492
meta-agent       | .212 .276 .477 .433 .515 .369 .071 .325 .112 .167 .016 .472
agent-prune      | .214 .321 .497 .180 .460 .467 .107 .333 .122 .211 -.005 .470
gnns             | .201 .339 .479 .364 .593 .530 .071 .308 .148 .203 .076 .503
agentverse       | .239 .309 .501 .403 .633 .513 .107 .367 .136 .195 .103 .489
macnet           | .252 .323 .517 .409 .617 .537 .143 .383 .138 .207 .127 .512
h-swarms         | .312 .450 .579 .481 .660 .588 .250 .425 .215 .266 .220 .590
w/o role         | .242 .352 .515 .392 .530 .564 .107 .317 .140 .222 .133 .539
w/o weight       | .237 .342 .492 .363 .588 .557 .143 .325 .164 .241 .119 .510
"""


class PaperTask(NamedTuple):
    """A task of the paper: how many questions, and from which p the paper marks its gain as significant (0: not)."""

    name: str
    dev: int
    test: int
    marked: float


TASKS = (
    PaperTask("MMLU-pro", 70, 1000, 0.01),
    PaperTask("K-Cross", 200, 1000, 0.01),
    PaperTask("COM2", 317, 1000, 0.05),
    PaperTask("GSM8k", 200, 1000, 0),
    PaperTask("NLGraph", 200, 1000, 0),
    PaperTask("Normad", 500, 2000, 0.05),
    PaperTask("GAIA", 13, 28, 0),
    PaperTask("AB-kg", 50, 120, 0),
    PaperTask("AB-ltp", 20, 50, 0),
    PaperTask("Qasper", 100, 100, 0),
    PaperTask("AbstainQA", 200, 1000, 0.01),
    PaperTask("WoW", 200, 1000, 0),
)


class Gain(NamedTuple):
    """H-Swarms on one task against the best of its rivals: score, rival and its score, gain in per cent, one-tailed p
    of a z-test of two proportions of the task's test questions."""

    task: PaperTask
    score: float
    rival: str
    rival_score: float
    percent: float
    p_value: float


def figures() -> dict[str, tuple[float | None, ...]]:
    """Method -> score on each of TASKS; None where the paper prints none."""
    rows = (line.split("|") for line in _FIGURES.strip().splitlines())
    return {name.strip(): tuple(None if v == "/" else float(v) for v in text.split()) for name, text in rows}


def gains() -> list[Gain]:
    """One a task. The paper's own ablations are no rivals."""
    table = figures()
    ours = table.pop(OURS)
    for name in ABLATIONS:
        del table[name]
    found = []
    for place, task in enumerate(TASKS):
        scored = {name: score for name, row in table.items() if (score := row[place]) is not None}
        rival = max(scored, key=lambda name: scored[name])
        mine, theirs = ours[place] or 0.0, scored[rival]
        found.append(Gain(task, mine, rival, theirs, 100 * (mine / theirs - 1), _one_tailed(mine, theirs, task.test)))
    return found


def importance_agrees() -> list[str]:
    """The tasks on which the paper's baselines and ablations agree on what matters more, roles or weights: the mean of
    its dynamic role methods is above that of its dynamic weight methods where leaving out the role-step costs more."""
    table = figures()
    means = [
        np.array([[float(table[name][i] or 0) for i in range(len(TASKS))] for name in names]).mean(axis=0)
        for names in (ROLES, WEIGHTS, ABLATIONS[:1], ABLATIONS[1:])
    ]
    return [
        task.name
        for task, role, weight, no_role, no_weight in zip(TASKS, *means, strict=True)
        if (role > weight) == (no_role < no_weight)
    ]


def _one_tailed(score: float, other: float, questions: int) -> float:
    pooled = (score + other) / 2
    return 0.5 * erfc((score - other) / sqrt(2 * pooled * (1 - pooled) / questions) / sqrt(2))


def statements() -> list[str]:
    """What the figures rest on, a sentence each."""
    made = gains()
    percents = np.array([gain.percent for gain in made])
    small = [i for i, gain in enumerate(made) if gain.task.name in ("GAIA", "AB-ltp")]
    rest = np.delete(percents, small)
    questions = sum(made[i].task.test for i in small)
    apart = [g.task.name for g in made if g.task.marked and g.p_value > g.task.marked]
    return [
        SOURCE,
        "Each figure is the best on dev of 50 to 200 runs with hyper-parameters drawn from a grid, so a single run is "
        "expected to fall short of it.",
        f"The mean gain over each task's best rival is {percents.mean():.2f} %, of which GAIA and AB-ltp "
        f"({questions} test questions together) supply {percents[small].sum() / len(percents):.1f} points; the other "
        f"{len(rest)} tasks gain {rest.mean():.1f} % on average, and the median of all is {np.median(percents):.1f} %.",
        f"By its own one-tailed z-test the paper marks {sum(bool(g.task.marked) for g in made)} of {len(made)} gains "
        "as significant; p here is a one-tailed z-test of two proportions, from the printed scores and sizes"
        + (f", which does not confirm the mark of {', '.join(apart)}." if apart else "."),
    ]


def tables() -> tuple[Table, Table]:
    """What each gain rests on, then every method on every task."""
    head = ("task", "dev", "test", "best rival", "its score", OURS, "gain %", "paper's mark", "p from its figures")
    rows = tuple(
        (
            g.task.name,
            str(g.task.dev),
            str(g.task.test),
            g.rival,
            f"{g.rival_score:.3f}",
            f"{g.score:.3f}",
            f"{g.percent:+.1f}",
            f"p < {g.task.marked:g}" if g.task.marked else "",
            f"{g.p_value:.3f}",
        )
        for g in gains()
    )
    scores = tuple(
        (name, *("" if score is None else f"{score:.3f}" for score in row)) for name, row in figures().items()
    )
    names = ("method", *(task.name for task in TASKS))
    return Table("What the paper's gains rest on", head, rows), Table("The paper's test scores", names, scores)


def markdown() -> str:
    """Statements and tables: what `hswarm compare --paper` prints and docs/paper-table.md holds."""
    says = "\n".join(f"- {line}" for line in statements())
    return "\n\n".join(["# The paper's results", says, *(table.markdown() for table in tables())])
