"""`hswarm analyze`: the paper's analyses of a finished run."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from hswarm.analysis import analysis_names
from hswarm.analysis import analyze as carry_out
from hswarm.analysis.context import Options, Target
from hswarm.analysis.result import AnalysisResult, read_findings, write_page
from hswarm.cli.common import printable, results, terminal
from hswarm.cli.evaluate import open_task
from hswarm.cli.view import view
from hswarm.config.recipe import set_values
from hswarm.consent import allow
from hswarm.errors import ConfigError, UserError
from hswarm.experts.remote import RemoteSettings
from hswarm.runs.directory import Run
from hswarm.tasks import load_task


def analyze(arguments: argparse.Namespace) -> None:
    """Print each finding; keep them, their pictures and a page of all in the run's folder `analysis`."""
    if arguments.questions < 1 or arguments.calls < 1:
        raise ConfigError([f"--questions and --calls must be at least 1, got {arguments.questions}, {arguments.calls}"])
    options = Options(
        arguments.split,
        arguments.questions,
        arguments.calls,
        _judge(arguments),
        tuple(map(target_of, arguments.to)),
        set_values(arguments.overrides),
    )
    path, made = Path(arguments.run), []
    console = terminal(quiet=arguments.json == "-")
    names, every = analysis_names(arguments.only, options), arguments.only == "all"

    def refused(name: str, fault: UserError) -> None:
        print(f"no {name}: {printable(str(fault))}", file=sys.stderr)

    with view() as progress:
        for finding in carry_out(path, names, options, progress, refused if every else None):
            made.append(finding)
            show_finding(console, finding)
    page = write_page(path, read_findings(path), f"Analyses of {path.name}")
    results(arguments.json, [asdict(finding) for finding in made])
    console.print(f"tables and pictures: {page}", soft_wrap=True)


def target_of(name: str) -> Target:
    """A run with its task and system, or a task by recipe, data file or name."""
    if not (Path(name) / "config.toml").is_file():
        return Target(Path(name).name, open_task(name))
    run = Run.open(name)
    return Target(Path(name).name, load_task(run.recipe.task), run.best)


def _judge(arguments: argparse.Namespace) -> RemoteSettings | None:
    if bool(arguments.judge) != bool(arguments.judge_url):
        raise ConfigError(["a judge needs both --judge MODEL and --judge-url URL"])
    if not arguments.judge:
        return None
    url, key = arguments.judge_url, arguments.judge_key
    try:
        judge = RemoteSettings("judge", arguments.judge, url, key)
    except ValueError as fault:
        raise ConfigError([f"the judge: {fault}"]) from None
    allow(f"{url}={key}" if key else url)  # whoever names it here wants it
    return judge


def show_finding(console: Console, finding: AnalysisResult) -> None:
    """Print a finding: its statements and tables."""
    console.print(f"\n{finding.title}")
    for line in finding.says:
        console.print(f"- {printable(line)}", soft_wrap=True)
    for table in finding.tables:
        shown = Table(title=printable(table.title), box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
        for name in table.head:
            shown.add_column(name, overflow="fold")
        for row in table.rows:
            shown.add_row(*map(printable, row))
        console.print(shown)
    if finding.calls:
        console.print("calls: {asked} asked for, {made} made now, {most} allowed".format(**finding.calls))
