"""Mathematical equality by math-verify: x^2+2x+1 and (x+1)^2, \\sqrt2/2 and \\frac{\\sqrt{2}}{2}.

A process of its own compares, within limits on its processor time and memory: some expressions would take for
years. Only LaTeX is parsed, by a grammar; nothing is evaluated as Python.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache, lru_cache

_LONGEST = 400  # characters: a longer answer is a text
_SECONDS = 3.0  # of processor time for one comparison; the process ends beyond it
_MEMORY = 2 << 30  # bytes
_NAMES = re.compile(r"\\[A-Za-z]+|\b(?:arc)?(?:sin|cos|tan|sinh|cosh|tanh|sqrt|log|ln|exp|inf|pi)\b")
_SIGN = re.compile(
    r"\\[A-Za-z]|\b(?:sin|cos|tan|sqrt|log|ln|exp)\s*\(|[\^_=<>+*/|]|\d\s*!|[A-Za-z)]\s*-\s*\w|\w\s*-\s*[A-Za-z(]|\d\s+-\s+\d|\d[A-Za-z(]|[\[(][^,]*,[^,]*[\])]"
)


def mathematical(text: str) -> bool:
    """Whether `text` is an expression: it has a sign of mathematics and no words beside the names of functions."""
    bare = _NAMES.sub(" ", re.sub(r"\\(?:begin|end)\s*\{\w+\*?\}", r"\\m ", text))
    return len(text) <= _LONGEST and bool(_SIGN.search(text)) and not re.search(r"[^\W\d_]{3,}", bare)


def equal(stated: str, gold: str) -> bool:
    """Whether two mathematical expressions are equal; False for anything else."""
    if not (mathematical(gold) or mathematical(stated)):
        return False
    return all(map(_readable, (stated, gold))) and _compared(_latex(stated), _latex(gold))


def _readable(text: str) -> bool:
    if re.search(r"\d_\{?\d", text):  # a numeral of another base, which the library reads without it
        return False
    return 0 < len(text) <= _LONGEST and (mathematical(text) or not re.search(r"[^\W\d_]{2,}", text))


def _latex(text: str) -> str:
    """`text` with the names of functions, products and roots as LaTeX writes them."""
    text = re.sub(r"(?<!\\)\bsqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", text.strip(" .$").replace("*", r"\cdot "))
    return re.sub(r"(?<![\\A-Za-z])((?:arc)?(?:sin|cos|tan)h?|log|ln|exp|pi)(?![A-Za-z])", r"\\\1 ", text)


@lru_cache(maxsize=1 << 14)
def _compared(stated: str, gold: str) -> bool:
    return _comparer(os.getpid()).equal(stated, gold)


class _Comparer:
    """The process that compares, started when first needed and again after a comparison that it did not survive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def equal(self, stated: str, gold: str) -> bool:
        with self._lock:
            if self._process is None:
                command = [sys.executable, "-P", __file__]  # alone, so that its memory is that of the comparison
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
            process = self._process
            assert process.stdin
            assert process.stdout
            try:
                process.stdin.write(json.dumps([stated, gold]) + "\n")
                process.stdin.flush()
                reply = process.stdout.readline()
            except OSError:
                reply = ""
            if not reply:
                self.end()
            return reply.strip() == "equal"

    def end(self) -> None:
        """End the process, if there is one."""
        if process := self._process:
            process.kill()
            process.wait()
            for stream in filter(None, (process.stdin, process.stdout)):
                with suppress(OSError):  # a broken pipe with a line unsent
                    stream.close()
            self._process = None


@cache
def _comparer(pid: int) -> _Comparer:
    """One a process: a forked one must not share its parent's pipe."""
    made = _Comparer()
    atexit.register(made.end)
    return made


def _serve() -> None:
    """Compare pairs from standard input, a JSON list a line."""
    import logging

    from math_verify import LatexExtractionConfig, parse, verify

    logging.disable()
    with suppress(OSError, ValueError):  # some systems have no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which closes the pipe

    def parsed(text: str) -> list[object]:
        return list(parse(f"${text}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None))

    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, _SECONDS)  # SIGPROF is unhandled: the system ends the process
        stated, gold = json.loads(line)
        try:
            found = verify(parsed(gold), parsed(stated), 15, allow_set_relation_comp=True, timeout_seconds=None)
        except Exception:  # of a library that parses anything
            found = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        print("equal" if found else "different", flush=True)


if __name__ == "__main__":
    _serve()
