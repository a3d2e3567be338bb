"""`hswarm tasks show|check`."""

from __future__ import annotations

import argparse
import textwrap

from rich.console import Console

from hswarm.cli.common import printable, readable, results
from hswarm.cli.evaluate import open_task
from hswarm.errors import TaskError
from hswarm.prompts import Prompts
from hswarm.registry import identifier
from hswarm.scorers.golds import unreadable_golds
from hswarm.tasks.check import check_task, verdict
from hswarm.tasks.named import NamedTask
from hswarm.tasks.task import Example
from hswarm.tasks.task import task as room

_CHUNK = 200  # characters of a context chunk that are shown


def show(arguments: argparse.Namespace) -> None:
    """What a named task is; sizes, scorer, source and first prompts of any whose questions are here."""
    card = room.get(arguments.task) if identifier(arguments.task) in room.names else None
    known = _card(card) if isinstance(card, NamedTask) else {}
    try:
        task = open_task(arguments.task, arguments.path, arguments.hub)
    except TaskError as fault:
        if not known or arguments.path or arguments.hub:
            raise
        known |= {"questions": str(fault)}
        _print_rows(results(arguments.json, known), known)
        return
    sizes = {"name": task.name, "dev": len(task.dev), "test": len(task.test), "scorer": task.scorer}
    console = results(arguments.json, {**known, **sizes, "max_new_tokens": task.max_new_tokens, "source": task.source})
    _print_rows(console, known)
    console.print(
        f"{printable(task.name)}: {len(task.dev)} dev, {len(task.test)} test questions; "
        f"scorer {task.scorer}; at most {task.max_new_tokens} new tokens",
        soft_wrap=True,
    )
    if task.source:
        console.print(f"source: {printable(task.source)}", soft_wrap=True)
    for example in task.dev[:3]:
        text = readable(Prompts().render(example, chunk=_first_chunk(example))).replace("\n", "\n    ")
        console.print(f"\n[{printable(example.id)}]\n    {text}\n    => {printable(example.answer)}", soft_wrap=True)


def _first_chunk(example: Example) -> str:
    """The beginning of the context that the first node of a graph reads, "" without any."""
    if not example.context:
        return ""
    shown = textwrap.shorten(example.context[0], _CHUNK, placeholder=" ...")
    return f"{shown} (chunk 1 of {len(example.context)}, one a node)"


def _card(card: NamedTask) -> dict[str, str]:
    """What a named task is, in words."""
    return {
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


def _print_rows(console: Console, rows: dict[str, str]) -> None:
    for name, text in rows.items():
        console.print(f"{name + ':':<11}{printable(text)}", soft_wrap=True)


def check(arguments: argparse.Namespace) -> int:
    """Print what is in a task, what is doubtful about it, and a verdict; the exit status says the verdict."""
    task = open_task(arguments.task, arguments.path, arguments.hub)
    found = check_task(task)
    told = verdict(found, unreadable_golds(task))
    console = results(arguments.json, {**vars(found), "verdict": told.name, "reasons": told.reasons})
    for name, value in vars(found).items():
        shown = f"{value:.3f}" if isinstance(value, float) else printable(str(value))
        console.print(f"{name.replace('_', ' ')}: {shown}", soft_wrap=True)
    for reason in told.reasons:
        console.print(f"- {printable(reason)}", soft_wrap=True)
    console.print(f"verdict: {told.name}")
    return told.status
