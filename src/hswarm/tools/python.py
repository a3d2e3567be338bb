"""Python in a sandbox: runs the program in a text and says what it prints (scorers/code.py)."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from hswarm.consent import check_word
from hswarm.scorers.code import run_program, stated_code
from hswarm.tools.base import tool


@tool("python", "Runs the Python in the text in a sandbox and says what it prints")
@dataclass(frozen=True)
class Python:
    """Each program may take `timeout_s` seconds and `memory_mb` MiB. ConsentError unless the user allows "code"."""

    timeout_s: float = 10.0
    memory_mb: int = 512

    def __post_init__(self) -> None:
        check_word("code", "the tool 'python' would run what models write as programs on this machine")

    def __call__(self, text: str) -> str:
        """What the last fenced block, or the whole text, prints; the value of its last line if that is an expression.

        ValueError: there is no program, it fails, prints nothing or takes too long.
        """
        program = stated_code(text)
        if not program:
            raise ValueError("there is no Python program in the text")
        done = run_program(_printing(program), self.timeout_s, self.memory_mb)
        if done.status is None:
            raise ValueError(f"the program took longer than {self.timeout_s:g} s")
        if done.status:
            raise ValueError(done.fault or f"the program ended with status {done.status}")
        if not done.output.strip():
            raise ValueError("the program prints nothing")
        return done.output.strip()


def _printing(program: str) -> str:
    """`program`, its last line printed if it is an expression that is not printed already."""
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return program  # it will say itself what is wrong
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr) or ast.unparse(last).startswith("print("):
        return program
    return "\n".join([*map(ast.unparse, tree.body[:-1]), f"print({ast.unparse(last)})"])
