"""`hswarm evaluate` and `ask`: use the system that a run found."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field
from rich.console import Console

from hswarm import io
from hswarm.cli.common import readable, recipe_of, results
from hswarm.compat.reference import read_args, root_of, task_content
from hswarm.config.recipe import build_recipe, read_recipe
from hswarm.engines.base import Completion
from hswarm.errors import TaskError
from hswarm.records import Record
from hswarm.runs.directory import Run
from hswarm.runs.report import summary
from hswarm.runs.schema import Summary
from hswarm.scorers import task_scorer
from hswarm.scorers.base import Score
from hswarm.session.session import Session
from hswarm.system.load import load
from hswarm.system.scoring import score_replies
from hswarm.system.system import System
from hswarm.tasks import TaskSettings, load_task
from hswarm.tasks.task import Example, Task


class Reply(Record):
    """A system's reply to a question, what was read in it, and its score (None: a call failed)."""

    id: str
    answer: str
    reply: str
    extracted: str
    score: float | None


class Scores(Summary):
    """How replies to the questions of a split score by one scorer."""

    unparsed: int
    empty: int
    cut: int
    replies: list[Reply]


class Evaluated(Scores):
    """What --json writes: the scores by `scorer`, and by `others`."""

    task: str
    split: str
    scorer: str
    others: dict[str, Scores] = Field(default_factory=dict)


def evaluate(arguments: argparse.Namespace) -> None:
    """Score a system on a split and print the mean with its 95 % interval."""
    from hswarm.cli.view import view  # charts and reports, which `ask` starts faster without

    system = load(arguments.run, arguments.base)
    task = open_task(arguments.task or _own_task(Path(arguments.run)))
    split = arguments.split or _usual_split(Path(arguments.run), bool(arguments.task))
    examples = task.dev if split == "dev" else task.test
    if not examples:
        raise TaskError(f"task '{task.name}' has no {split} questions")
    scorers = {name: task_scorer(task, name) for name in (arguments.scorer or task.scorer).split(",")}
    with view() as progress:
        executor = replace(Session.of_system(system), progress=progress.advance).executor
        progress.begin(split, len(examples) * system.topology.size, 0)
        transcripts = executor.run([system], examples, split)
        scores = {}
        for name, scorer in scorers.items():
            (scores[name],) = score_replies(scorer, executor, [system], transcripts, examples, name)
    replies = transcripts[0][system.topology.sink]
    (first, row), *others = scores.items()
    told = Evaluated(**dict(_scores(row, examples, replies)), task=task.name, split=split, scorer=first)
    if others:
        told.others = {name: _scores(row, examples, replies) for name, row in others}
    console = results(arguments.json, told.content())
    for name, result in {first: told, **told.others}.items():
        _print_result(console, f"{task.name} {split}, {name}", result)
        for part in task.parts:
            places = [i for i, example in enumerate(examples) if example.task == part.name]
            row = scores[name]
            shown = _scores([row[i] for i in places], [examples[i] for i in places], [replies[i] for i in places])
            _print_result(console, f"    {part.name}, {part.scorer if name == 'parts' else name}", shown)


def _usual_split(path: Path, another_task: bool) -> str:
    """test; dev of a run's own task until the run is finished: test is looked at once, at the end of a search."""
    running = (path / "config.toml").is_file() and not another_task and not Run.open(path).finished
    if running:
        print(f"{path} is not finished, so dev is scored; --split test looks at test all the same", file=sys.stderr)
    return "dev" if running else "test"


def _scores(scores: Sequence[Score], examples: Sequence[Example], replies: Sequence[Completion]) -> Scores:
    """The mean with its interval, the replies that could not be scored as meant, and every reply."""
    made = summary(np.array([score.value for score in scores]), np.random.default_rng(0))
    return Scores(
        **dict(made),
        unparsed=sum(not score.parsed for score in scores),
        empty=sum(not reply.text for reply in replies),
        cut=sum(reply.finish == "length" for reply in replies),
        replies=[
            Reply(id=e.id, answer=e.answer, reply=r.text, extracted=s.extracted, score=io.without_nan(s.value))
            for e, r, s in zip(examples, replies, scores, strict=True)
        ],
    )


def _print_result(console: Console, what: str, result: Scores) -> None:
    faults = f"{result.unparsed} unparsed, {result.empty} empty, {result.cut} cut off"
    console.print(f"{what}: {result}, n = {result.n}, {faults}", soft_wrap=True)


def ask(arguments: argparse.Namespace) -> int:
    """Print the system's answer to one question, with --trace every node's; 1 without a reply."""
    system = load(arguments.run, arguments.base)
    executor = Session.of_system(system).executor
    example = Example(id="ask", question=arguments.question, answer="")
    (nodes,) = executor.run([system], [example], "ask")
    said = [reply.text for (reply,) in nodes]
    reply = said[system.topology.sink]
    trace = [(node, name, reads) for node, name, reads in _trace(system) if nodes[node][0].finish != "skipped"]
    rows = [{"node": node, "expert": name, "reads": reads, "reply": said[node]} for node, name, reads in trace]
    console = results(arguments.json, {"reply": reply, "nodes": rows})
    for node, name, reads in trace if arguments.trace else ():
        heard = ", ".join(str(other + 1) for other in reads) or "no other node"
        console.print(f"[{node + 1}] {name}, reads {heard}: {readable(said[node])}")
    if not reply.strip():
        print("hswarm: the system gave no reply; --trace shows every node's", file=sys.stderr)
        return 1
    console.print(readable(reply), soft_wrap=True)
    return 0


def open_task(name: str | TaskSettings, path: str = "", hub: str = "") -> Task:
    """A task by settings, by recipe (.toml) or run, by data file, or by name with the place of its questions."""
    if isinstance(name, TaskSettings):
        return load_task(name)
    name = recipe_of(name)
    if name.endswith(".toml"):
        return load_task(read_recipe(name).task)
    if "/" in name and Path(name).is_dir():
        held = io.what_is(Path(name))
        raise TaskError(
            f"no task at {name}: expected a task's name, a file of questions, a recipe or a run{held}; "
            f"a named task whose files lie there takes it as --path {name}"
        )
    if Path(name).is_file() or "." in name:
        return load_task(TaskSettings(path=name))
    return load_task(TaskSettings(name=name, path=path, hub=hub) if name else TaskSettings(hub=hub))


def _own_task(run: Path) -> TaskSettings:
    if (run / "all_time_best").is_dir() and (args := run / "args.json").is_file():
        return build_recipe({"task": task_content(read_args(args), root_of(args))}).task
    if not (run / "config.toml").is_file():
        raise TaskError(f"{run} is a system without a run; name a task (--task FILE)")
    return read_recipe(run / "config.toml").task


def _trace(system: System) -> list[tuple[int, str, Sequence[int]]]:
    """Each node in the order in which they answer, its expert's name, and the nodes whose replies it reads."""
    topology = system.topology
    return [(node, system.nodes[node].name, topology.predecessors(node)) for node in topology.order]
