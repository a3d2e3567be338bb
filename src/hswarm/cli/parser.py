"""The arguments of every command. Imports none of the commands, so help and completion are quick."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, NoReturn

from hswarm import __version__
from hswarm.cli.common import printable
from hswarm.cli.rooms import LISTS, room
from hswarm.compat.reference import FLAGS
from hswarm.errors import UserError
from hswarm.registry import near

Arguments = Callable[[argparse.ArgumentParser], None]


class Command(NamedTuple):
    """A command: its group in `hswarm --help`, its function as "module:function" of this package, what it does, and its
    arguments. A command without a function is followed by an action, whose name `actions` gives."""

    group: str
    handler: str
    about: str
    arguments: Arguments | None = None
    actions: tuple[str, ...] = ()


_KINDS = {"int": "a whole number", "float": "a number"}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and name what is nearest."""

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"unknown '{value}'{near(str(value), map(str, action.choices))}")

    def error(self, message: str) -> NoReturn:
        message = re.sub(
            r"invalid (int|float) value: (.*)", lambda found: f"expected {_KINDS[found[1]]}, got {found[2]}", message
        )
        self.exit(UserError.exit_status, f"hswarm: {printable(message)}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """All commands; `handler` names the function that carries one out, imported when used."""
    top = Parser(
        prog="hswarm",
        usage="hswarm COMMAND ...",
        description="Finds the multi-LLM system that solves a task best: which expert's reply reaches which, and with "
        "what weights.",
        epilog=_groups(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"hswarm {__version__}")
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(prog="hswarm", dest="command", metavar="COMMAND", help=argparse.SUPPRESS)
    for name, command in COMMANDS.items():
        if not command.actions:
            _add(commands, name, command)
            continue
        made = commands.add_parser(name, description=_sentence(command.about))
        actions = made.add_subparsers(dest="action", metavar="ACTION", required=True)
        for action in command.actions:
            _add(actions, action, ACTIONS[f"{name} {action}"])
    return top


def _add(commands: argparse._SubParsersAction[Any], name: str, command: Command) -> None:
    if command.group:  # the epilog lists it
        made = commands.add_parser(name, description=_sentence(command.about))
    else:
        made = commands.add_parser(name, description=_sentence(command.about), help=command.about)
    made.set_defaults(handler=command.handler)
    if command.arguments:
        command.arguments(made)
    made.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="WHAT",
        help="let a file connect to URL, send a key there (URL=VARIABLE), or run Python (module:attribute, code); "
        "repeatable",
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _groups() -> str:
    """The commands by group, for the end of the help."""
    lines = []
    for group in dict.fromkeys(command.group for command in COMMANDS.values()):
        lines += [f"{group}:"]
        lines += [f"  {name:<18}{one.about}" for name, one in COMMANDS.items() if one.group == group]
        lines += [""]
    lines += ["hswarm COMMAND --help explains a command. Start with: hswarm demo"]
    return "\n".join(lines)


def completed(argument: argparse.Action, names: Callable[[], Iterable[str]], commas: bool = False) -> None:
    """Let the shell complete `argument` by `names`, with `commas` each of several."""

    def complete(prefix: str, **_: object) -> list[str]:
        before, comma, _last = prefix.rpartition(",") if commas else ("", "", prefix)
        return [f"{before}{comma}{name}" for name in names()]

    argument.completer = complete  # type: ignore[attr-defined]  # argcomplete reads it


def port(text: str) -> int:
    """A port's number, from the command line."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 (any free one) to 65535, got '{text[:20]}'")
    return int(text)


# Arguments that several commands take


def _run(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", metavar="RUN", help="the folder of a run")


def _system(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", metavar="RUN", help="a run, or a folder with a system")


def _base(command: argparse.ArgumentParser) -> None:
    command.add_argument("--base", metavar="DIR", default="", help="where the base model is, if its name does not tell")


def _json(command: argparse.ArgumentParser, what: str = "the result") -> None:
    command.add_argument("--json", metavar="FILE", help=f"write {what} to FILE as JSON; - prints it instead of a table")


def _recipe(command: argparse.ArgumentParser) -> None:
    command.add_argument("recipe", metavar="RECIPE", help="a TOML file, e.g. recipes/demo.toml")
    _changes(command)


def _recipes(command: argparse.ArgumentParser, count: str) -> None:
    command.add_argument("recipes", metavar="RECIPE", nargs=count, help="a recipe for each task")
    _changes(command)


def _changes(command: argparse.ArgumentParser) -> None:
    setting = command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        dest="overrides",
        help="change a field of the recipe (hswarm list fields); repeatable",
    )
    completed(setting, _field_names)
    command.add_argument(
        "--preset", choices=("paper", "reference"), default="", help="the settings of the paper or of the authors' code"
    )


def _field_names() -> list[str]:
    from hswarm.config.fields import fields

    return [f"{field.name}=" for field in fields()]


def _many(command: argparse.ArgumentParser, default: str) -> None:
    """What commands that run many searches take."""
    methods = command.add_argument(
        "--methods", default=default, metavar="A,B", help=f"methods, separated by commas (default: {default or 'own'})"
    )
    completed(methods, lambda: room("methods").names, commas=True)
    command.add_argument("--seeds", type=int, default=3, metavar="K", help="runs of each method (default: 3)")
    command.add_argument("--budget-calls", type=int, metavar="N", help="distinct calls that each search may make")
    _jobs(command)


def _jobs(command: argparse.ArgumentParser) -> None:
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="searches at the same time (default: 1)")


# Find


def _demo(command: argparse.ArgumentParser) -> None:
    command.add_argument("--run", metavar="DIR", help="the new folder (default: hswarm-demo)")


def _new(command: argparse.ArgumentParser) -> None:
    kind = command.add_argument("kind", metavar="KIND", help="toy, micro, smollm2, own or paper")
    completed(kind, lambda: ("toy", "micro", "smollm2", "own", "paper"))
    command.add_argument("--file", metavar="FILE", help="the new recipe (default: KIND.toml)")
    command.add_argument("--pool", metavar="DIR", default="", help="own: the folder of your experts, to fill in")
    command.add_argument("--data", metavar="FILE", default="", help="own: the file of your questions, to fill in")


def _plan(command: argparse.ArgumentParser) -> None:
    _recipe(command)
    command.add_argument("--quick", action="store_true", help="only count calls: load no model, measure nothing")
    _json(command)


def _search(command: argparse.ArgumentParser) -> None:
    _recipe(command)
    method = command.add_argument(
        "--method", metavar="NAME", help="how to search, one of hswarm list methods (default: growth)"
    )
    completed(method, lambda: room("methods").names)
    command.add_argument("--run", metavar="DIR", help="the new run's folder (default: runs/<name of the recipe>)")
    command.add_argument(
        "--from",
        metavar="RUN",
        dest="start",
        help="go on from another run of the task, e.g. with more experts: its scores and calls are taken over",
    )
    command.add_argument(
        "--forecast",
        action="store_true",
        help="measure first, and compare the forecast with the actual cost at the end",
    )
    _watching(command)


def _resume(command: argparse.ArgumentParser) -> None:
    _run(command)
    _watching(command)


def _watching(command: argparse.ArgumentParser) -> None:
    command.add_argument("--watch", action="store_true", help="serve a page on this machine that shows how far it is")
    _page_port(command)


def _page_port(command: argparse.ArgumentParser) -> None:
    command.add_argument("--port", type=port, default=8001, help="the page's port (default 8001; 0 takes a free one)")


# Look


def _watch(command: argparse.ArgumentParser) -> None:
    _run(command)
    _page_port(command)


def _show(command: argparse.ArgumentParser) -> None:
    _run(command)
    _json(command)


def _report(command: argparse.ArgumentParser) -> None:
    _run(command)
    command.add_argument(
        "--out",
        metavar="FILE",
        action="append",
        help="a page as .html or .md, or the graph as .svg or .mmd; repeatable (default: RUN/report.html)",
    )
    command.add_argument("--follow", action="store_true", help="keep the page up to date while the run goes on")
    command.add_argument(
        "--comparison", metavar="DIR", help="a folder of hswarm compare to show (default: <run>-compare, if there)"
    )


def _analyze(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", metavar="RUN", help="the folder of a finished run")
    only = command.add_argument(
        "--only", default="all", metavar="A,B", help="analyses, separated by commas (hswarm list analyses)"
    )
    completed(only, lambda: room("analyses").names, commas=True)
    command.add_argument("--split", choices=("dev", "test"), help="questions to use (default: each analysis' own)")
    command.add_argument(
        "--questions", type=int, default=200, metavar="N", help="use at most N questions (default 200)"
    )
    command.add_argument(
        "--calls", type=int, default=10_000, metavar="N", help="new calls that one analysis may make (default 10000)"
    )
    command.add_argument(
        "--to",
        action="append",
        default=[],
        metavar="TASK",
        help="transfer: try the system on this task or run; repeatable",
    )
    command.add_argument("--judge", metavar="MODEL", default="", help="roles: the model that labels what nodes do")
    command.add_argument("--judge-url", metavar="URL", default="", help="its OpenAI-compatible API, up to /v1")
    command.add_argument("--judge-key", metavar="NAME", default="", help="the NAME of the variable with its key")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME.OPTION=VALUE",
        dest="overrides",
        help="set an option of an analysis (hswarm list analyses); repeatable",
    )
    _json(command)


def _list(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "room", nargs="?", choices=LISTS, metavar="WHAT", help=f"{', '.join(LISTS)} (default: names of all)"
    )
    command.add_argument(
        "word", nargs="?", metavar="WORD", help="show only rows with this word; for runs: their folder"
    )
    _json(command)


# Use


def _ask(command: argparse.ArgumentParser) -> None:
    _system(command)
    command.add_argument("question", metavar="QUESTION")
    _base(command)
    command.add_argument("--trace", action="store_true", help="show the reply of every node")
    _json(command, "the replies of all nodes")


def _evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", metavar="RUN", help="a run, a folder with a system, or a search of the authors' code")
    command.add_argument("--task", metavar="TASK", help="a recipe or a data file (default: the run's own task)")
    command.add_argument(
        "--split", choices=("dev", "test"), help="questions to score (default: test, or dev while a run is unfinished)"
    )
    scorer = command.add_argument(
        "--scorer", metavar="A,B", help="other scorers, e.g. exact,reference (reference: the authors' loose rules)"
    )
    completed(scorer, lambda: room("scorers").names, commas=True)
    _base(command)
    _json(command, "scores and replies")


def _serve(command: argparse.ArgumentParser) -> None:
    _system(command)
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    command.add_argument("--port", type=port, default=8000, help="port (default 8000; 0 takes a free one)")
    command.add_argument("--name", default="", help="the model's name (default: the run's)")
    _base(command)
    command.add_argument("--max-tokens", type=int, default=1024, help="most new tokens that a client may ask for")
    command.add_argument("--timeout", type=float, default=120, help="seconds that an answer may take")
    command.add_argument("--engine", default="", metavar="NAME", help="another engine than the system was found with")
    command.add_argument("--devices", default="", metavar="0,1", help="a worker on each of these devices; auto: on all")
    command.add_argument(
        "--cluster", default="", metavar="ADDRESS", help="workers on Ray: ray://host:port, auto or local"
    )
    command.add_argument("--workers", type=int, default=0, help="workers on the cluster (default: as many as fit)")
    command.add_argument("--queue", type=int, default=256, help="most questions in progress at once")


def _route(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", metavar="RUN", help="the folder of a finished run")
    command.add_argument("--best", type=int, default=4, metavar="K", help="systems to choose among (default: 4)")
    command.add_argument(
        "--price", type=float, default=0.01, metavar="P", help="score that a call must be worth (default: 0.01)"
    )
    command.add_argument("--to", metavar="DIR", default="", help="the folder of the system (default: RUN/routed)")
    _json(command)


def _distil(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", metavar="RUN", help="the folder of a finished run")
    command.add_argument(
        "--questions", type=int, default=3000, metavar="N", help="questions for the system to answer (default: 3000)"
    )
    command.add_argument(
        "--data", metavar="FILE", default="", help="a file of questions (default: generated, where the task can)"
    )
    command.add_argument("--steps", type=int, default=300, metavar="N", help="training steps (default: 300)")
    command.add_argument("--rank", type=int, default=8, metavar="R", help="the adapter's rank (default: 8)")
    command.add_argument("--learning-rate", type=float, default=3e-3, metavar="X", help="(default: 0.003)")
    command.add_argument("--to", metavar="DIR", default="", help="the expert's pool (default: RUN/distilled)")
    _json(command)


def _export(command: argparse.ArgumentParser) -> None:
    _system(command)
    command.add_argument("folder", metavar="DIR", nargs="?", help="the new folder (with --push it need not be kept)")
    command.add_argument(
        "--as",
        choices=("bundle", "adapter", "merged"),
        default="bundle",
        help="the whole system, or its only expert as an adapter or merged into the base",
    )
    command.add_argument("--prune", action="store_true", help="leave out nodes that do not raise the score on dev")
    command.add_argument(
        "--push",
        metavar="OWNER/NAME",
        default="",
        help="also upload it to this model repository of the hub, with its card",
    )
    command.add_argument("--public", action="store_true", help="--push: a new repository is public (default: private)")


# Compare


def _compare(command: argparse.ArgumentParser) -> None:
    _recipes(command, "*")
    command.add_argument(
        "--paper",
        action="store_true",
        help="print the paper's own results and what they rest on: alone, or after the recipes' table",
    )
    _many(command, "all")
    command.add_argument("--budget-tokens", type=int, metavar="N", help="tokens that each search may use, with prompts")
    command.add_argument("--budget-seconds", type=float, metavar="S", help="seconds that each search may take")
    command.add_argument(
        "--no-share",
        dest="share",
        action="store_false",
        help="repeat calls for every method and seed: only then can seconds be compared",
    )
    command.add_argument("--run", metavar="DIR", help="the comparison's folder (default: runs/<names>-compare)")
    _json(command, "the table")


def _sweep(command: argparse.ArgumentParser) -> None:
    _recipe(command)
    command.add_argument(
        "--over",
        action="append",
        default=[],
        metavar="A.B=VALUES",
        help="a field and its values: [1, 2], 0.1..0.5 or 1e-3..1 log; a.b,c.d=... share one; repeatable",
    )
    command.add_argument("--space", choices=("paper",), help="the paper's grid: the swarms' coefficients and step")
    command.add_argument("--trials", type=int, default=20, metavar="N", help="trials in total (default: 20)")
    _jobs(command)
    command.add_argument(
        "--sampler", choices=("tpe", "random", "grid", "cmaes"), help="(default: tpe; random with --space paper)"
    )
    command.add_argument(
        "--pruner",
        choices=("median", "halving", "none"),
        help="how to stop poor trials early (default: median; none with --space paper)",
    )
    command.add_argument("--run", metavar="DIR", help="the sweep's folder (default: runs/<name>-sweep)")
    _json(command, "the trials")


def _study(command: argparse.ArgumentParser) -> None:
    study = command.add_argument("study", metavar="NAME", help="a study (hswarm list studies)")
    completed(study, lambda: room("studies").names)
    _recipes(command, "+")
    _many(command, "")
    command.add_argument(
        "--to", action="append", default=[], metavar="TASK", help="transfer: another task or run; repeatable"
    )
    command.add_argument("--devices", default="1,2,4,8", metavar="A,B", help="numbers of devices (default: 1,2,4,8)")
    command.add_argument("--run", metavar="DIR", help="the study's folder (default: runs/<names>-<study>)")
    _json(command)


# Experts and data


def _pool(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "pool", metavar="DIR", help="a recipe, or a folder with a sub-folder for each expert (adapter or whole model)"
    )
    command.add_argument("--base", default="", help="the base model that they must belong to")
    command.add_argument("--delta", action="store_true", help="ranks, alphas and modules may differ (pool.space)")
    command.add_argument("--mixed", action="store_true", help="base models may differ (pool.mixed)")
    _json(command)


def _pool_shown(command: argparse.ArgumentParser) -> None:
    _pool(command)
    command.add_argument("--svg", metavar="FILE", help="draw the distances to FILE")


def _train(command: argparse.ArgumentParser) -> None:
    command.add_argument("recipe", metavar="RECIPE", help="a training recipe, e.g. recipes/smollm2-pool.toml")


def _download(command: argparse.ArgumentParser) -> None:
    command.add_argument("experts", metavar="RECIPE|ID", nargs="+", help="a recipe, or owner/name[@<revision>]")


def _task(command: argparse.ArgumentParser) -> None:
    task = command.add_argument(
        "task", metavar="TASK", nargs="?", default="", help="a recipe, a run, a data file or the name of a task"
    )
    completed(task, lambda: room("tasks").names)
    command.add_argument("--path", default="", help="the file of a named task, or the folder that it is in")
    command.add_argument("--hub", default="", help="a data set of the hub, by id, or a folder with its files")
    _json(command)


def _import_reference(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "words",
        metavar="ARGS",
        nargs="*",
        help="an args.json, its folder, or the script's command line (quoted or not)",
    )
    for flag in FLAGS:
        short = [f"-{flag.short}"] if flag.short else []
        command.add_argument(*short, f"--{flag.name}", metavar="V", help=", ".join(flag.fields) or "no field here")
    command.add_argument("--root", default="", metavar="DIR", help="the folder that the script was started in")
    command.add_argument("--out", default="", metavar="FILE", help="write the recipe to FILE (default: print it)")


def _completion(command: argparse.ArgumentParser) -> None:
    command.add_argument("shell", choices=("bash", "zsh", "fish"), metavar="SHELL", help="bash, zsh or fish")


FIND, LOOK, USE, COMPARE, DATA = "find", "look", "use", "compare", "experts and data"

COMMANDS = {
    "demo": Command(FIND, "new:demo", "watch a search of the small pool that comes with hswarm", _demo),
    "new": Command(FIND, "new:new", "write a commented recipe to start from", _new),
    "plan": Command(FIND, "plan:plan", "check a recipe; forecast calls, tokens, time and memory", _plan),
    "search": Command(FIND, "search:search", "find the best system for a recipe's task", _search),
    "resume": Command(FIND, "search:resume", "continue an interrupted run", _resume),
    "show": Command(LOOK, "search:show", "print what a run found and what it cost", _show),
    "watch": Command(LOOK, "watch:watch", "serve a page about a run on this machine, live while it goes on", _watch),
    "report": Command(LOOK, "report:report", "write what a run found as a page", _report),
    "analyze": Command(LOOK, "analyze:analyze", "explain what makes the system found work", _analyze),
    "list": Command(LOOK, "listing:show_list", "list runs, methods, tasks, recipe fields and more (also: ls)", _list),
    "ask": Command(USE, "evaluate:ask", "ask the system found a question", _ask),
    "evaluate": Command(USE, "evaluate:evaluate", "score the system found on a task", _evaluate),
    "route": Command(USE, "route:route", "pick for each question among a run's systems: fewer calls", _route),
    "distil": Command(USE, "distil:distil", "train one adapter on the answers of the system found", _distil),
    "serve": Command(USE, "serve:serve", "serve the system found as an OpenAI-compatible API with a page", _serve),
    "export": Command(USE, "export:export", "write the system found to a folder that can be shared", _export),
    "compare": Command(COMPARE, "compare:compare", "compare methods on equal terms; repeat to continue", _compare),
    "sweep": Command(COMPARE, "sweep:sweep", "try many settings, keep the best; repeat to continue", _sweep),
    "study": Command(COMPARE, "study:study", "answer one of the paper's questions; repeat to continue", _study),
    "experts": Command(
        DATA, "", "check, show, train or download experts", None, ("check", "show", "train", "download")
    ),
    "tasks": Command(DATA, "", "show a task's questions, check a data file", None, ("show", "check")),
    "import-reference": Command(
        DATA, "recipe:import_reference", "turn the arguments of the authors' script into a recipe", _import_reference
    ),
    "completion": Command(
        DATA, "completion:completion", 'print Tab completion for a shell: eval "$(hswarm completion bash)"', _completion
    ),
}

ACTIONS = {
    "experts check": Command("", "experts:check", "open a pool as a search would and name every fault", _pool),
    "experts show": Command(
        "", "experts:show", "show digests, ranks, sizes, norms, distances and diversity of a pool", _pool_shown
    ),
    "experts train": Command("", "experts:train", "train a pool of LoRA experts from a recipe", _train),
    "experts download": Command("", "experts:download", "fetch experts from the Hugging Face hub", _download),
    "tasks show": Command("", "tasks:show", "show a task's sizes, scorer and first questions", _task),
    "tasks check": Command(
        "", "tasks:check", "check format, sizes, duplicates, overlap, answers and chance level", _task
    ),
}
