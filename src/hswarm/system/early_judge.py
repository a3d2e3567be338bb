"""A judge behind an API rates answers while the engine still makes others, so that neither waits for the other.

What the judge says is kept in the cache as calls of the step that scores the answers, as if that step had been
interrupted. The scoring itself comes afterwards: it finds these calls, counts them as its own and makes the others, so
scores, counts and errors are the same as without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from queue import SimpleQueue
from threading import Event, Thread

from hswarm.scorers import task_scorer
from hswarm.system.executor import Executor, Ledger
from hswarm.system.scoring import ScoringContext
from hswarm.system.system import System
from hswarm.tasks.task import Example, Task

Answered = Callable[[Example, str], None]


@contextmanager
def judged_early(task: Task, executor: Executor, systems: Sequence[System], step: str) -> Iterator[Answered]:
    """Within this, the judge of `task` is asked about the answers of `systems` that it is told of, in a thread.

    It is asked about as many at a time as its `concurrency` allows. At the end the calls in progress are waited for,
    and no more begin; after an exception (Ctrl-C) they are not waited for. Nothing happens where no judge behind an API
    scores the task, where one of the systems' own experts is the judge, or without reuse of calls.
    """
    from hswarm.scorers.judge import judge_of_task  # a part, imported when it is used

    judge = judge_of_task(task)
    experts = {expert.digest for system in systems for expert in system.experts}
    if judge is None or judge.digest in experts or not executor.reuse:
        yield lambda example, answer: None
        return
    answers: SimpleQueue[tuple[Example, str] | None] = SimpleQueue()
    ended = Event()

    def work() -> None:
        scorer, aside = task_scorer(task), replace(executor, ledger=Ledger(), progress=lambda calls: None)
        while not aside.ledger.failed and (some := _next(answers, judge.remote.concurrency)) and not ended.is_set():
            try:
                asking = ScoringContext(aside, systems, len(some), step)
                scorer([example for example, _ in some], [answer for _, answer in some], asking)
            except Exception:
                return  # the scoring meets the same fault, and says so

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield lambda example, answer: answers.put((example, answer))
    finally:
        ended.set()
        answers.put(None)
    thread.join()


def _next(answers: SimpleQueue[tuple[Example, str] | None], count: int) -> list[tuple[Example, str]]:
    """The next `count` answers, so that the judge is always asked for as many at a time as it may; none at the end."""
    some = list(islice(iter(answers.get, None), count))
    return some if len(some) == count else []
