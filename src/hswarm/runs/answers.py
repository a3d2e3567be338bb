"""answers.jsonl: each searched dev question, what every node of the system found replied, and who was right.

A line: id, question, choices, answer, score (of the system), alone (score by expert), replies (one a node), scores (of
the replies, if each were the answer), read (as the system's answer), group (task or domain, where there are several).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

from hswarm import io
from hswarm.engines.base import Completion
from hswarm.errors import RunError
from hswarm.records import checked
from hswarm.runs.directory import Run
from hswarm.runs.schema import Answer
from hswarm.scorers import scored_calls, task_scorer
from hswarm.scorers.base import Score
from hswarm.session.archive import Selection
from hswarm.session.checkpoint import Findings
from hswarm.session.evaluator import Evaluator
from hswarm.system.executor import Ledger
from hswarm.system.system import System
from hswarm.tasks.task import Example


def keep_answers(run: Run, evaluator: Evaluator, findings: Findings, selection: Selection) -> None:
    """Write them from calls that were made already. Without reuse they would have to be made again: nothing is kept."""
    if not evaluator.executor.reuse:
        return
    system, scores = selection.system, selection.finalists[selection.chosen].scores
    looking = replace(evaluator.executor, ledger=Ledger(), progress=lambda calls: None)  # a look costs nothing
    (nodes,) = looking.run([system], evaluator.dev, "answers")
    marks = _marks(evaluator, system, nodes)
    groups = grouped(evaluator.dev)
    lines = []
    for e, example in enumerate(evaluator.dev):
        alone = {single.system.assignment[0]: io.without_nan(float(single.scores[e])) for single in findings.singles}
        lines.append(
            Answer(
                id=example.id,
                question=example.question,
                choices=dict(example.choices),
                answer=example.answer,
                score=io.without_nan(float(scores[e])),
                alone=alone,
                replies=[replies[e].text for replies in nodes],
                scores=[_known(marked[e].value) for marked in marks],
                read=_read(marks[system.topology.sink][e]) if marks else "",
                group=groups[e],
            )
        )
    io.write_text(run.path / "answers.jsonl", "".join(json.dumps(line.content()) + "\n" for line in lines))


def _marks(evaluator: Evaluator, system: System, nodes: Sequence[Sequence[Completion]]) -> list[list[Score]]:
    """Scores of every node's replies as answers, one list a node; none if the task's scorer would ask further."""
    if scored_calls(evaluator.task, 1) > 1:
        return []
    score = task_scorer(evaluator.task)
    marks = []
    for replies in nodes:
        found = score(evaluator.dev, [reply.text for reply in replies])
        failed = [reply.finish == "failed" for reply in replies]
        marks.append([one._replace(value=math.nan) if gone else one for one, gone in zip(found, failed, strict=True)])
    return marks


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _read(mark: Score) -> str | None:
    return mark.extracted if mark.parsed else None


def grouped(examples: Sequence[Example]) -> list[str]:
    """The group of each question: its task if there are several, else its domain; "" if that is one and the same."""
    for of in ([example.task for example in examples], [example.domain for example in examples]):
        if len(set(of)) > 1:
            return [name or "other" for name in of]
    return [""] * len(examples)


def read_answers(run: Run) -> list[Answer] | None:
    """The lines of answers.jsonl; None if it was not written."""
    path = run.path / "answers.jsonl"
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as fault:
        raise RunError(f"{path} cannot be read: {fault}") from fault
    return [checked(line, Answer, f"{path}, line {i + 1},") for i, line in enumerate(lines)]


def only_together(answers: Sequence[Answer]) -> tuple[list[Answer], list[Answer]]:
    """Answers where the system scores higher than every expert alone, and those where some expert scores higher."""
    higher, lower = [], []
    for line in answers:
        known = [score for score in line.alone.values() if score is not None]
        if line.score is None or not known:
            continue
        if line.score > max(known):
            higher.append(line)
        elif line.score < max(known):
            lower.append(line)
    return higher, lower
