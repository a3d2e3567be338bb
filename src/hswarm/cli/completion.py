"""`hswarm completion`: what a shell needs to complete hswarm's commands with Tab."""

from __future__ import annotations

import argparse

from argcomplete.shell_integration import shellcode


def completion(arguments: argparse.Namespace) -> None:
    """Print the shell's code; `eval "$(hswarm completion bash)"` in its start-up file takes it."""
    print(shellcode(["hswarm"], shell=arguments.shell))
