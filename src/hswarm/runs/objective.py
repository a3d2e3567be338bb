"""What a search may know: the utility of systems on dev. The test split is given out once, at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hswarm.engines.base import Completion, Sampling
from hswarm.errors import HSwarmError
from hswarm.execution.execute import Executor
from hswarm.execution.system import System
from hswarm.scorers.base import Scorer
from hswarm.tasks.task import Example, Task


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A system's scores, one an example (nan: a call failed), and the replies that could not be scored as meant."""

    system: System
    scores: NDArray[np.float64]
    unparsed: int
    empty: int
    cut: int
    failed: int

    @property
    def utility(self) -> float:
        """The mean score; nan if any call failed, so that a fault never passes for a wrong answer."""
        return float(np.mean(self.scores))


@dataclass
class Objective:
    """Scores systems of one task."""

    task: Task
    scorer: Scorer
    executor: Executor
    sampling: Sampling
    _test_seen: bool = False

    def evaluate(self, systems: Sequence[System], step: str) -> list[Evaluation]:
        """Evaluations of `systems` on dev. `step` names this piece of work, once in a run."""
        return self._score(systems, self.task.dev, step)

    def final(self, systems: Sequence[System]) -> list[Evaluation]:
        """Evaluations on test of the systems to be reported. A second call raises HSwarmError."""
        if self._test_seen:
            raise HSwarmError("the test split was already looked at; it is used once, at the end of a run")
        self._test_seen = True
        return self._score(systems, self.task.test, "test")

    def _score(self, systems: Sequence[System], examples: Sequence[Example], step: str) -> list[Evaluation]:
        transcripts = self.executor.run(systems, examples, self.sampling, step)
        return [self._evaluation(system, nodes, examples) for system, nodes in zip(systems, transcripts, strict=True)]

    def _evaluation(self, system: System, nodes: list[list[Completion]], examples: Sequence[Example]) -> Evaluation:
        answers = nodes[system.topology.sink]
        failed = [any(node[e].finish == "failed" for node in nodes) for e in range(len(examples))]
        scores = self.scorer(examples, [answer.text for answer in answers])
        return Evaluation(
            system,
            np.array([np.nan if bad else score.value for score, bad in zip(scores, failed, strict=True)]),
            unparsed=sum(not score.parsed for score in scores),
            empty=sum(not answer.text for answer in answers),
            cut=sum(answer.finish == "length" for answer in answers),
            failed=sum(failed),
        )
