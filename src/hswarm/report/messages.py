"""What the nodes of a run's best system replied to one dev question, out of the calls that the run has kept.

No model is asked and nothing is written: the run may be going on in another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from hswarm.report.examples import Message, told_to
from hswarm.runs.directory import Run
from hswarm.session.records import State
from hswarm.system.cache import Cache, call_key
from hswarm.system.execution import Execution, Plan
from hswarm.system.system import System
from hswarm.tasks.task import Example, with_choices


class Question(NamedTuple):
    """A dev question, `number` of `total` from one, and the messages on the way to its answer, as far as known."""

    number: int
    total: int
    text: str
    answer: str
    about: str
    messages: Sequence[Message]


def read_question(run: Run, system: System, dev: Sequence[Example], number: int) -> Question:
    """Question `number` of `dev`, from one, as `system`, the best of `run`, has answered it."""
    example = dev[number - 1]
    messages = _messages(run, system, example)
    missing = system.topology.size - len(messages)
    about = "" if not missing else f"{missing} of {system.topology.size} nodes were not asked this yet."
    return Question(number, len(dev), with_choices(example.question, example.choices), example.answer, about, messages)


def _messages(run: Run, system: System, example: Example) -> list[Message]:
    path, kept = run.path / "cache.sqlite", run.load_state(State)
    if not path.is_file() or not kept:
        return []
    engine, execution = kept[1].engine, Execution(Plan(system), example)
    with closing(Cache(path, reading=True)) as cache:
        while ready := execution.ready():
            keys = {node: call_key(engine, execution.request(node)) for node in ready}
            found = cache.get([*keys.values()])
            told = [execution.tell(node, found[key].completion) for node, key in keys.items() if key in found]
            if not told:
                break
    return [
        Message(node + 1, system.nodes[node].name, told_to(system.topology, node), reply.text, None)
        for node in system.topology.order
        if (reply := execution.replies[node]) is not None
    ]
