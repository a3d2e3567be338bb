"""The command `hswarm`: imports only what a command needs.

Exit status: see errors.py; 130 = interrupted by Ctrl-C, 143 = ended by SIGTERM, both resumable.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType

from hswarm.cli.common import printable
from hswarm.cli.parser import parser
from hswarm.consent import allowed
from hswarm.errors import HSwarmError, UserError

OLD = {("ls",): "list", ("recipe", "from-reference"): "import-reference"}  # names that still work


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # libraries' bars; hswarm draws its own
    commands = parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what may come next
        import argcomplete

        argcomplete.autocomplete(commands)
    arguments = commands.parse_args(renamed(sys.argv[1:] if argv is None else argv))
    if not arguments.command:
        commands.print_help()
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
    except MemoryError as fault:
        if arguments.debug:
            raise
        print(
            f"hswarm: not enough memory ({printable(str(fault)) or 'no more is given'}); ask for less", file=sys.stderr
        )
        return 1
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


def renamed(words: Sequence[str]) -> list[str]:
    """`words` with a command's old name replaced by the new one."""
    at = next((place for place, word in enumerate(words) if not word.startswith("-")), 0)
    for old, new in OLD.items():
        if tuple(words[at : at + len(old)]) == old:
            return [*words[:at], new, *words[at + len(old) :]]
    return list(words)


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived; it is handled like Ctrl-C."""


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM raises Terminated in the block; processes that it forks end as usual."""
    if threading.current_thread() is not threading.main_thread():  # only there can a signal be handled
        yield
        return
    owner = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise Terminated
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
