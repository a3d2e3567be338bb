"""Scores the replies of systems, and lets a scorer ask further questions of them or of a judge.

Further calls go through the executor, so they are cached, counted and resumed like all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hswarm.engines import open_engine
from hswarm.engines.base import Completion, EngineSettings, Request, Sampling
from hswarm.errors import TaskError
from hswarm.experts.adapter import Adapter
from hswarm.experts.expert import Expert
from hswarm.scorers.base import Score, Scorer
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks.task import Example


@dataclass
class ScoringContext:
    """The Respond (scorers/base.py) of `systems`, whose responses stand one after the other, `each` of every system."""

    executor: Executor
    systems: Sequence[System]
    each: int
    step: str
    _times: int = field(default=0, init=False)

    def __call__(self, questions: Mapping[int, Example]) -> dict[int, str | None]:
        self._times += 1
        answers: dict[int, str | None] = {}
        for s, system in enumerate(self.systems):
            places = [place for place in questions if place // self.each == s]
            if places:
                asked = [questions[place] for place in places]
                (nodes,) = self.executor.run([system], asked, f"{self.step}/again{self._times}/{s}")
                for i, place in enumerate(places):
                    failed = any(node[i].finish == "failed" for node in nodes)
                    answers[place] = None if failed else nodes[system.topology.sink][i].text
        return answers

    def ask(self, model: Expert | None, prompts: Sequence[str], max_new_tokens: int) -> list[str | None]:
        self._times += 1
        judge = model or _base_alone(self.systems)
        executor = executor_for(self.executor, judge, self.systems[0].bases, self.systems[0].engine)
        requests = [Request(judge, prompt, Sampling(max_new_tokens)) for prompt in prompts]
        made = executor.answer(requests, f"{self.step}/judge{self._times}")
        return [None if reply.finish == "failed" else reply.text for reply in made]


def executor_for(executor: Executor, expert: Expert, bases: Sequence[str], settings: EngineSettings) -> Executor:
    """`executor` if `expert` is of one of the `bases` that its engine answers for; else one that shares its cache and
    ledger, on an engine of `settings` for the expert's base (a judge behind an API, say)."""
    if expert.base in (bases or ("",)):
        return executor
    return replace(
        executor,
        engine=open_engine(settings, expert.base),
        progress=lambda calls: None,
        ledger=executor.ledger,
    )


def score_replies(
    scorer: Scorer,
    executor: Executor,
    systems: Sequence[System],
    transcripts: Sequence[Sequence[Sequence[Completion]]],
    examples: Sequence[Example],
    step: str,
) -> list[list[Score]]:
    """Scores as [system][example] of the replies of each system's sink; nan where a call at any of its nodes failed."""
    replies = [
        reply.text for system, nodes in zip(systems, transcripts, strict=True) for reply in nodes[system.topology.sink]
    ]
    asking = ScoringContext(executor, systems, len(examples), step)
    scores = scorer([*examples] * len(systems), replies, asking)
    rows = [scores[i : i + len(examples)] for i in range(0, len(scores), max(1, len(examples)))]
    return [
        [
            score._replace(value=np.nan) if any(node[e].finish == "failed" for node in nodes) else score
            for e, score in enumerate(row)
        ]
        for nodes, row in zip(transcripts, rows, strict=True)
    ]


def _base_alone(systems: Sequence[System]) -> Expert:
    """The bare base of the systems' first adapter: an adapter of zeros."""
    experts = (expert for system in systems for expert in system.experts)
    expert = next((expert for expert in experts if isinstance(expert, Adapter) and expert.form), None)
    if expert is None:
        raise TaskError("the run has no base model that could judge; name one: task.scorer_options.model and .url")
    return expert.with_weights(np.zeros(expert.size, dtype=np.float32), "base")
