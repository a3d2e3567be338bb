"""Code run against tests: the example's answer is Python that must run to its end after the response's code.

Runs only where a task names this scorer. Each response has a process of its own in a new session and an empty folder,
with an empty environment, limits on time, memory, files and processes, and no network where the system allows
unprivileged namespaces. That stops accidents, not an attacker: run untrusted models in a container.
"""

from __future__ import annotations

import ast
import os
import re
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, NamedTuple

from hswarm.consent import check_word
from hswarm.scorers.base import Score, scorer
from hswarm.tasks.task import Example

_FENCED = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_MB = 1 << 20


@scorer("code", "The response's code passes the tests that the answer holds", reads="without reasoning")
@dataclass(frozen=True)
class Code:
    """Each program may take `timeout_s` seconds and `memory_mb` MiB. ConsentError unless the user allows "code"."""

    timeout_s: float = 10.0
    memory_mb: int = 512

    def __post_init__(self) -> None:
        check_word("code", "the scorer 'code' would run replies and the task's tests as programs on this machine")

    def __call__(self, examples: Sequence[Example], responses: Sequence[str]) -> list[Score]:
        """1 where the code of the response passes the tests that the answer holds, within the limits."""
        scores = []
        for example, response in zip(examples, responses, strict=True):
            program = stated_code(response)
            passed = bool(program) and passes(program, example.answer, self.timeout_s, self.memory_mb)
            scores.append(Score(float(passed), bool(program), program))
        return scores


def stated_code(response: str) -> str:
    """The last fenced block, else the whole response if it compiles, else nothing."""
    if blocks := _FENCED.findall(response):
        return str(blocks[-1]).strip()
    try:
        compile(response, "response", "exec")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return ""
    return response.strip()


def passes(program: str, tests: str, timeout_s: float, memory_mb: int) -> bool:
    """Whether `program` followed by `tests` runs to the end: leaving early, whatever the status, is no pass."""
    token = secrets.token_hex(16)
    source = f"{program}\n\n{tests}\n\n{_call(program, tests)}print({token!r})\n"
    done = run_program(source, timeout_s, memory_mb)
    return done.status == 0 and done.output.rstrip().endswith(token)


class Outcome(NamedTuple):
    """How a program ended: its exit status, None if it took too long, what it printed, and its last line on stderr."""

    status: int | None
    output: str
    fault: str


def run_program(source: str, timeout_s: float, memory_mb: int) -> Outcome:
    """Run the Python `source` in the sandbox, for `timeout_s` seconds and in `memory_mb` MiB at most.

    Both streams go to files, which the limit on a file's size holds, unlike a pipe.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        (Path(folder) / "program.py").write_text(source, encoding="utf-8", errors="replace")
        process = subprocess.Popen(
            [*_no_network(), sys.executable, "-I", "-B", "program.py"],
            cwd=folder,
            env={"HOME": folder},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            preexec_fn=lambda: _limit(timeout_s, memory_mb),
        )
        status: int | None = None
        try:
            with suppress(subprocess.TimeoutExpired):
                status = process.wait(timeout=timeout_s)
        finally:
            _end(process)
        output, faults = _text(out), _text(err).rstrip()
    return Outcome(status, output, faults.rpartition("\n")[2])


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _call(program: str, tests: str) -> str:
    """The call that tests in HumanEval's form leave out: they define check(candidate), for the first function."""
    try:
        made = [node.name for node in ast.parse(program).body if isinstance(node, ast.FunctionDef)]
        tested = ast.parse(tests).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return ""
    defined = any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in tested)
    return f"check({made[0]})\n\n" if made and defined and not runs(tests) else ""


def runs(tests: str) -> bool:
    """Whether `tests` do more than define and import, so that running them can fail."""
    quiet = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.Expr)
    try:
        body = ast.parse(tests).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return any(not isinstance(node, quiet) or (isinstance(node, ast.Expr) and _calls(node)) for node in body)


def _calls(node: ast.Expr) -> bool:
    return any(isinstance(part, ast.Call) for part in ast.walk(node))


def _limit(timeout_s: float, memory_mb: int) -> None:
    seconds = max(1, round(timeout_s) + 1)
    limits = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_AS: memory_mb * _MB,
        resource.RLIMIT_FSIZE: 16 * _MB,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and everything that it started and left in its session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@lru_cache
def _no_network() -> tuple[str, ...]:
    """A prefix that takes the network away, or nothing where the system does not allow it."""
    prefix = ("unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child")
    try:
        done = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    except OSError:
        return ()
    return prefix if done.returncode == 0 else ()
