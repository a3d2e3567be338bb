"""The command `hswarm`: imports only what a subcommand needs.

Exit status: see errors.py; 130 = interrupted by Ctrl-C, 143 = ended by SIGTERM, both resumable.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

from hswarm import __version__
from hswarm.compat.reference import FLAGS
from hswarm.consent import allowed
from hswarm.errors import HSwarmError, UserError
from hswarm.registry import near


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # libraries' bars; hswarm draws its own
    arguments = parser().parse_args(argv)
    if not arguments.command:
        parser().print_help()
        return 0
    try:
        module, _, function = arguments.handler.partition(":")
        with allowed(*arguments.allow), ended_by_sigterm():
            status = getattr(import_module(f"hswarm.cli.{module}"), function)(arguments)
        return status if isinstance(status, int) else 0
    except Terminated:
        print("ended by SIGTERM", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except HSwarmError as fault:
        if arguments.debug:
            raise
        print(f"hswarm: {printable(str(fault))}", file=sys.stderr)
        return fault.exit_status
    except OSError as fault:
        if arguments.debug:
            raise
        full = fault.errno in (errno.ENOSPC, errno.EDQUOT)
        print(f"hswarm: {printable(str(fault))}{'; make room, then go on' if full else ''}", file=sys.stderr)
        mine = isinstance(fault, PermissionError | FileNotFoundError) or fault.errno in (
            errno.EROFS,
            errno.ENAMETOOLONG,
        )
        return UserError.exit_status if mine else 1


class Terminated(KeyboardInterrupt):
    """SIGTERM came: what holds for Ctrl-C holds for it."""


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM raises Terminated in the block; processes that it forks end as usual."""
    if threading.current_thread() is not threading.main_thread():  # only there can a signal be handled
        yield
        return
    owner = os.getpid()

    def end(number: int, frame: Any) -> None:
        if os.getpid() == owner:
            raise Terminated
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and name what is nearest."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"unknown '{value}'{near(str(value), map(str, action.choices))}")

    def error(self, message: str) -> NoReturn:
        self.exit(UserError.exit_status, f"hswarm: {printable(message)}; see {self.prog} --help\n")


def port(text: str) -> int:
    """A port's number, from the command line."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 (any free one) to 65535, got '{text[:20]}'")
    return int(text)


def printable(text: str) -> str:
    """One line without control characters: messages quote other people's files."""
    return "".join(c if c.isprintable() else " " for c in text.replace("\n", "; "))


def readable(text: str) -> str:
    """`text` as a terminal may show it: lines and tabs kept, no other control character."""
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)


def parser() -> argparse.ArgumentParser:
    """All subcommands; `handler` names the function, imported when used."""
    top = Parser(
        prog="hswarm",
        description="Finds the multi-LLM system that solves a task best: which expert's reply reaches which, and "
        "with what weights.",
    )
    top.add_argument("--version", action="version", version=f"hswarm {__version__}")
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    demo = _command(commands, "demo", "new:demo", "watch a search of the small world that comes with hswarm")
    demo.add_argument("--run", metavar="DIR", help="the new folder (default: hswarm-demo)")
    new = _command(commands, "new", "new:new", "write a commented recipe to start from")
    new.add_argument("kind", metavar="KIND", help="toy, micro, smollm2, own or paper")
    new.add_argument("--file", metavar="FILE", help="the new recipe (default: KIND.toml)")
    new.add_argument("--pool", metavar="DIR", default="", help="own: a folder of experts to look at and fill in")
    new.add_argument("--data", metavar="FILE", default="", help="own: a file of questions to look at and fill in")
    search = _command(commands, "search", "search:search", "search as a recipe says")
    _recipe_arguments(search)
    search.add_argument("--method", metavar="NAME", help="what searches, a name of hswarm ls methods (default: growth)")
    search.add_argument("--run", metavar="DIR", help="folder of the new run (default: runs/<name of the recipe>)")
    search.add_argument("--forecast", action="store_true", help="calibrate first; the report compares with what came")
    _command(commands, "resume", "search:resume", "continue an interrupted run").add_argument("run", metavar="RUN")
    show = _command(commands, "show", "search:show", "print what a run found and cost")
    show.add_argument("run", metavar="RUN")
    report = _command(commands, "report", "report:report", "write what a run found as one page, live with --follow")
    report.add_argument("run", metavar="RUN")
    report.add_argument(
        "--out",
        metavar="FILE",
        action="append",
        help=".html, .md, or the graph as .svg or .mmd; may be given many times (default: RUN/report.html)",
    )
    report.add_argument("--follow", action="store_true", help="write it anew while the run goes on")
    report.add_argument(
        "--comparison",
        metavar="DIR",
        help="a folder of hswarm compare to show (default: <name>-compare beside the run)",
    )
    plan = _command(commands, "plan", "plan:plan", "check a recipe and forecast its calls, tokens, time and memory")
    _recipe_arguments(plan)
    plan.add_argument("--quick", action="store_true", help="count calls only: no calibration, nothing is loaded")

    evaluate = _command(commands, "evaluate", "evaluate:evaluate", "score the system that a run found")
    evaluate.add_argument("run", metavar="RUN", help="a run, a folder with a system, or a search of the authors' code")
    evaluate.add_argument("--task", metavar="TASK", help="a recipe or a data file (default: the run's own task)")
    evaluate.add_argument(
        "--split", choices=("dev", "test"), help="questions to score (default: test; of an unfinished run dev)"
    )
    evaluate.add_argument("--scorer", help="score by others, e.g. exact,reference (the authors' loose rules)")
    evaluate.add_argument("--base", default="", help="where the base model lies, if not found by its name")
    evaluate.add_argument("--json", metavar="FILE", help="write scores and replies here")
    ask = _command(commands, "ask", "evaluate:ask", "put a question to the system that a run found")
    ask.add_argument("run", metavar="RUN")
    ask.add_argument("question")
    ask.add_argument("--base", default="", help="where the base model lies, if not found by its name")
    ask.add_argument("--trace", action="store_true", help="show what every node said")

    analyze = _command(commands, "analyze", "analyze:analyze", "say what makes the system that a run found work")
    analyze.add_argument("run", metavar="RUN", help="a finished run")
    analyze.add_argument("--only", default="all", metavar="A,B", help="names with commas between (hswarm ls analyses)")
    analyze.add_argument("--split", choices=("dev", "test"), help="questions to look at (default: each analysis' own)")
    analyze.add_argument("--questions", type=int, default=200, metavar="N", help="at most so many (default 200)")
    analyze.add_argument(
        "--calls", type=int, default=10_000, metavar="N", help="new calls that one analysis may make (default 10000)"
    )
    analyze.add_argument(
        "--to",
        action="append",
        default=[],
        metavar="TASK",
        help="another task, or run, to carry what was found to (transfer); repeatable",
    )
    analyze.add_argument("--judge", metavar="MODEL", default="", help="a model that labels what nodes do (roles)")
    analyze.add_argument("--judge-url", metavar="URL", default="", help="its OpenAI-compatible API, up to /v1")
    analyze.add_argument("--judge-key", metavar="NAME", default="", help="the NAME of the variable that holds its key")
    analyze.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME.OPTION=VALUE",
        dest="overrides",
        help="an option of an analysis (hswarm ls analyses); may be given many times",
    )
    analyze.add_argument("--json", metavar="FILE", help="write findings here too")

    export = _command(commands, "export", "export:export", "write the system found as one folder to hand on")
    export.add_argument("run", metavar="RUN", help="a run, or a folder with a system")
    export.add_argument("folder", metavar="DIR", help="the new folder")
    export.add_argument(
        "--as",
        choices=("bundle", "adapter", "merged"),
        default="bundle",
        help="the whole system, or its one expert as an adapter or merged into the base",
    )
    export.add_argument("--prune", action="store_true", help="leave out nodes without which dev scores no less")

    serve = _command(commands, "serve", "serve:serve", "serve the system found: an OpenAI-compatible API, and a page")
    serve.add_argument("run", metavar="RUN", help="a run, or a folder with a system")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    serve.add_argument("--port", type=port, default=8000, help="port (default 8000; 0 takes a free one)")
    serve.add_argument("--name", default="", help="the model's name (default: the run's)")
    serve.add_argument("--base", default="", help="where the base model lies, if not found by its name")
    serve.add_argument("--max-tokens", type=int, default=1024, help="most new tokens that a client may ask for")
    serve.add_argument("--timeout", type=float, default=120, help="seconds that an answer may take")
    serve.add_argument("--devices", default="", metavar="0,1", help="a worker on each device, or on all: auto")
    serve.add_argument(
        "--cluster", default="", metavar="ADDRESS", help="workers on Ray: ray://host:port, auto or local"
    )
    serve.add_argument("--workers", type=int, default=0, help="workers on the cluster (default: as many as fit)")
    serve.add_argument("--queue", type=int, default=256, help="most questions under way at once")

    compare = _command(commands, "compare", "compare:compare", "compare methods on equal terms; again: continue")
    compare.add_argument("recipes", metavar="RECIPE", nargs="*", help="one recipe a task")
    compare.add_argument(
        "--paper",
        action="store_true",
        help="print the paper's own results and what they rest on; run nothing",
    )
    _change_arguments(compare)
    compare.add_argument("--methods", default="all", metavar="A,B", help="names with commas between (default: all)")
    compare.add_argument("--seeds", type=int, default=3, metavar="K", help="runs a method (default: 3)")
    compare.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at once (default: 1)")
    compare.add_argument(
        "--no-share",
        dest="share",
        action="store_false",
        help="make every call anew for each method and seed: only then seconds compare",
    )
    compare.add_argument("--run", metavar="DIR", help="folder of the comparison (default: runs/<names>-compare)")
    compare.add_argument("--json", metavar="FILE", help="write the table here too")
    compare.add_argument(
        "--budget-calls",
        type=int,
        metavar="N",
        help="distinct calls a search may make (default: the most of the recipe's own)",
    )
    compare.add_argument("--budget-tokens", type=int, metavar="N", help="tokens a search may take, prompts included")
    compare.add_argument("--budget-seconds", type=float, metavar="S", help="seconds a search may take")

    study = _command(commands, "study", "study:study", "answer one of the paper's further questions; again: continue")
    study.add_argument("study", metavar="NAME", help="a study (hswarm ls studies)")
    study.add_argument("recipes", metavar="RECIPE", nargs="+", help="one recipe a task")
    _change_arguments(study)
    study.add_argument("--methods", default="", metavar="A,B", help="names with commas between (default: the study's)")
    study.add_argument("--seeds", type=int, default=3, metavar="K", help="runs a method (default: 3)")
    study.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at once (default: 1)")
    study.add_argument(
        "--to", action="append", default=[], metavar="TASK", help="another task, or run (transfer); repeatable"
    )
    study.add_argument("--devices", default="1,2,4,8", metavar="A,B", help="numbers of devices (default: 1,2,4,8)")
    study.add_argument("--budget-calls", type=int, metavar="N", help="distinct calls a search may make")
    study.add_argument("--run", metavar="DIR", help="folder of the study (default: runs/<names>-<study>)")
    study.add_argument("--json", metavar="FILE", help="write what was found here too")

    recipe_room = _command(commands, "recipe", "", "recipe: take over the arguments of the authors' search script")
    recipes = recipe_room.add_subparsers(dest="action", metavar="ACTION", required=True)
    moving = _command(
        recipes,
        "from-reference",
        "recipe:from_reference",
        "a recipe out of a command line of the authors' script or an args.json",
    )
    moving.add_argument(
        "words",
        metavar="ARGS",
        nargs="*",
        help="an args.json, its folder, or the script's command line (quoted or not)",
    )
    for flag in FLAGS:
        short = [f"-{flag.short}"] if flag.short else []
        moving.add_argument(*short, f"--{flag.name}", metavar="V", help=", ".join(flag.fields) or "no field here")
    moving.add_argument("--root", default="", metavar="DIR", help="the folder that the script was started in")
    moving.add_argument("--out", default="", metavar="FILE", help="write the recipe here (default: print it)")
    sweep = _command(
        commands, "sweep", "sweep:sweep", "search with many settings, the best written out; again: continue"
    )
    _recipe_arguments(sweep)
    sweep.add_argument(
        "--over",
        action="append",
        default=[],
        metavar="A.B=VALUES",
        help="a field and its values: [1, 2], 0.1..0.5 or 1e-3..1 log; a.b,c.d=... share one",
    )
    sweep.add_argument("--space", choices=("paper",), help="the paper's grid: the swarms' coefficients and step")
    sweep.add_argument("--trials", type=int, default=20, metavar="N", help="trials in all (default: 20)")
    sweep.add_argument("--jobs", type=int, default=1, metavar="N", help="trials at once (default: 1)")
    sweep.add_argument(
        "--sampler", choices=("tpe", "random", "grid", "cmaes"), help="(default: tpe; random with --space paper)"
    )
    sweep.add_argument(
        "--pruner",
        choices=("median", "halving", "none"),
        help="which trials are given up by their best so far (default: median; none with --space paper)",
    )
    sweep.add_argument("--run", metavar="DIR", help="folder of the sweep (default: runs/<name>-sweep)")

    task_room = _command(commands, "tasks", "", "tasks: show a recipe's questions, check a data file")
    tasks = task_room.add_subparsers(dest="action", metavar="ACTION", required=True)
    show_task = _command(tasks, "show", "tasks:show", "a task's sizes, scorer and first questions")
    check_task = _command(tasks, "check", "tasks:check", "schema, sizes, duplicates, overlap, answers, chance level")
    for one in (show_task, check_task):
        one.add_argument("task", metavar="TASK", nargs="?", default="", help="a recipe, a data file or a named task")
        one.add_argument("--path", default="", help="where a named task's questions are: its file or a folder")
        one.add_argument("--hub", default="", help="a data set of the hub, by id, or a folder of its files")

    expert_room = _command(commands, "experts", "", "experts: check, show, train or download a pool")
    experts = expert_room.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action, text in (
        ("check", "open a pool as a search would, compare it with its base, name every fault"),
        ("show", "digest, rank, size, norm, distances, diversity of a pool's experts"),
    ):
        one = _command(experts, action, f"experts:{action}", text)
        one.add_argument(
            "pool",
            metavar="DIR",
            help="a recipe, or a folder of experts (PEFT adapters or whole checkpoints), one sub-folder each",
        )
        one.add_argument("--base", default="", help="the base they must belong to")
        one.add_argument("--delta", action="store_true", help="ranks, alphas and modules may differ (pool.space)")
        one.add_argument("--mixed", action="store_true", help="bases may differ (pool.mixed)")
        if action == "show":
            one.add_argument("--svg", metavar="FILE", help="draw the distances here")
            one.add_argument("--json", metavar="FILE", help="write digests, norms, distances and diversity here")
    train = _command(experts, "train", "experts:train", "train a pool of LoRA experts as a recipe says")
    train.add_argument("recipe", metavar="RECIPE")
    fetched = _command(experts, "download", "experts:download", "fetch experts of the Hugging Face hub")
    fetched.add_argument("experts", metavar="RECIPE|ID", nargs="+", help="a recipe, or owner/name[@<commit>]")
    rooms = _command(commands, "ls", "ls:ls", "names that recipes and commands take, and runs")
    rooms.add_argument(
        "room", nargs="?", choices=("tasks", "scorers", "engines", "methods", "presets", "analyses", "studies", "runs")
    )
    rooms.add_argument("folder", nargs="?", metavar="DIR", help="where runs are (default: runs)")
    return top


def _command(commands: argparse._SubParsersAction[Any], name: str, handler: str, text: str) -> argparse.ArgumentParser:
    made: Parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    made.set_defaults(handler=handler)
    if not handler:  # a room, whose commands have it
        return made
    made.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="WHAT",
        help="let a file connect to URL, send a key there (URL=VARIABLE), or run Python (module:attribute, code); "
        "repeatable",
    )
    return made


def _recipe_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("recipe", metavar="RECIPE", help="a TOML file, e.g. recipes/demo.toml")
    _change_arguments(command)


def _change_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        dest="overrides",
        help="change a field of the recipe; may be given many times",
    )
    command.add_argument(
        "--preset", choices=("paper", "reference"), default="", help="the settings of the paper or of the authors' code"
    )


if __name__ == "__main__":
    sys.exit(main())
