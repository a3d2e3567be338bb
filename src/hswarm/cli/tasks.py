"""`hswarm tasks show|check`."""

from __future__ import annotations

import argparse
import textwrap

from rich.console import Console

from hswarm.cli.common import terminal
from hswarm.cli.evaluate import open_task
from hswarm.cli.main import printable, readable
from hswarm.errors import TaskError
from hswarm.prompts import Prompts
from hswarm.registry import identifier
from hswarm.scorers.golds import expressions_without_extra, unreadable_golds
from hswarm.tasks.check import check_task, verdict
from hswarm.tasks.named import NamedTask
from hswarm.tasks.task import Example
from hswarm.tasks.task import task as room

_CHUNK = 200  # characters of a context chunk that are shown


def show(arguments: argparse.Namespace) -> None:
    """What a named task is; sizes, scorer, source and first prompts of any whose questions are here."""
    console = terminal(soft_wrap=True)
    card = room.get(arguments.task) if identifier(arguments.task) in room.names else None
    if isinstance(card, NamedTask):
        _print_card(console, card)
        try:
            task = open_task(arguments.task, arguments.path, arguments.hub)
        except TaskError as fault:
            if arguments.path or arguments.hub:
                raise
            console.print(f"questions: {fault}")
            return
    else:
        task = open_task(arguments.task, arguments.path, arguments.hub)
    console.print(
        f"{printable(task.name)}: {len(task.dev)} dev, {len(task.test)} test questions; "
        f"scorer {task.scorer}; at most {task.max_new_tokens} new tokens"
    )
    if task.source:
        console.print(f"source: {printable(task.source)}")
    for example in task.dev[:3]:
        text = readable(Prompts().render(example, chunk=_first_chunk(example))).replace("\n", "\n    ")
        console.print(f"\n[{printable(example.id)}]\n    {text}\n    => {printable(example.answer)}")


def _first_chunk(example: Example) -> str:
    """The beginning of the context that the first node of a graph reads, "" without any."""
    if not example.context:
        return ""
    shown = textwrap.shorten(example.context[0], _CHUNK, placeholder=" ...")
    return f"{shown} (chunk 1 of {len(example.context)}, one a node)"


def _print_card(console: Console, card: NamedTask) -> None:
    rows = {
        "task": f"{card.name}: {room.about(card.name).about}",
        "format": card.form,
        "prompt": card.instruction,
        "sampling": f"greedy, at most {card.max_new_tokens} new tokens",
        "scorer": card.scorer + ("" if card.scorer == "judge" else f" (the authors' loose one: {card.reference})"),
        "sizes": "{} dev, {} test".format(*card.sizes) if card.sizes else "not known",
        "source": card.source,
        "licence": card.licence,
        "hub": card.hub or "not read from there",
    }
    for name, text in rows.items():
        console.print(f"{name:<9}{text}")


def check(arguments: argparse.Namespace) -> int:
    """Print what is in a task, what is doubtful about it, and a verdict; the exit status says the verdict."""
    task = open_task(arguments.task, arguments.path, arguments.hub)
    found = check_task(task)
    console = terminal(soft_wrap=True)
    for name, value in vars(found).items():
        if isinstance(value, float):
            value = f"{value:.3f}"
        console.print(f"{name.replace('_', ' ')}: {printable(str(value))}")
    told = verdict(found, unreadable_golds(task), expressions_without_extra(task))
    for reason in told.reasons:
        console.print(f"- {printable(reason)}")
    console.print(f"verdict: {told.name}")
    return told.status
