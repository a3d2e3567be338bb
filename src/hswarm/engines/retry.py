"""Between executor and engine: retries faults, counts calls without a reply, and learns how much fits in memory.

An engine's own HSwarmError passes through, since a retry would not help. Any other fault is retried after a pause;
then the batch is halved down to the calls at fault, which alone become "failed". Out of memory halves
the batch at once, and no later batch is larger. A batch without an answer for `timeout` seconds ends the search.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from threading import Thread

from hswarm.engines.base import Ask, Completion, Engine, Request
from hswarm.engines.multiple_choice import answer
from hswarm.errors import EngineError, HSwarmError

_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
_PAUSE_S = 0.1  # before the first retry; four times as long before each further one


@dataclass
class Guard:
    """Calls `engine`. `most` is how many calls are known to fit in its memory at once (None: any number)."""

    engine: Engine
    retries: int = 2
    timeout: float = 3600.0
    most: int | None = None
    fault: str = ""  # the last fault, for the error that ends a search

    def generate(self, requests: Sequence[Request], ask: Ask | None = None) -> list[Completion]:
        """One completion for each request, in order; "failed" for those that the engine cannot answer.

        `ask` makes the call, by default the engine's `generate`.
        """
        return self._generate(requests, ask or partial(answer, self.engine), self.retries)

    def _generate(self, requests: Sequence[Request], ask: Ask, retries: int) -> list[Completion]:
        if self.most and len(requests) > self.most:
            return self._parts(requests, self.most, ask, retries)
        for attempt in range(retries + 1):
            made = self._ask(requests, ask)
            if not isinstance(made, Exception):
                return made
            self.fault = f"{type(made).__name__}: {made}"
            if _is_memory(made) and len(requests) > 1:
                self.most = len(requests) // 2
                return self._parts(requests, self.most, ask, retries)
            if attempt < retries:
                time.sleep(_PAUSE_S * 4**attempt)
        if len(requests) == 1:
            return [Completion("", "failed", 0, 0)]
        return self._parts(requests, -(-len(requests) // 2), ask, 0)

    def _parts(self, requests: Sequence[Request], size: int, ask: Ask, retries: int) -> list[Completion]:
        starts = range(0, len(requests), size)
        return [made for start in starts for made in self._generate(requests[start : start + size], ask, retries)]

    def _ask(self, requests: Sequence[Request], ask: Ask) -> list[Completion] | Exception:
        """The engine's answer or its fault, without the stack that would keep its memory alive."""
        box: list[list[Completion] | BaseException] = []

        def work() -> None:
            try:
                box.append(list(ask(requests)))
            except BaseException as fault:
                box.append(fault.with_traceback(None))

        if self.timeout:  # in a thread of its own, since a hanging call cannot be stopped from within
            thread = Thread(target=work, daemon=True)
            thread.start()
            thread.join(self.timeout)
        else:
            work()
        if not box:
            raise EngineError(
                f"the engine gave no answer to {len(requests)} calls in {self.timeout:g} s "
                "(engine.timeout); check the engine, then resume the run"
            )
        return _checked(box[0], len(requests))


def _checked(answer: list[Completion] | BaseException, count: int) -> list[Completion] | Exception:
    """`answer` with count and types checked; raised if it is an error that a retry cannot mend."""
    if isinstance(answer, BaseException):
        if isinstance(answer, HSwarmError) or not isinstance(answer, Exception):
            raise answer
        return answer
    if len(answer) != count:
        return EngineError(f"the engine gave {len(answer)} completions to {count} requests")
    for made in answer:
        if not isinstance(made, Completion) or not isinstance(made.text, str):
            return EngineError(f"the engine gave {type(made).__name__}, expected a Completion with a text")
    return [storable(made) for made in answer]


def storable(made: Completion) -> Completion:
    """`made` with lone surrogates replaced, since they cannot be encoded as UTF-8."""
    text = made.text.encode(errors="replace").decode()
    return made if text == made.text else Completion(text, made.finish, made.prompt_tokens, made.completion_tokens)


def _is_memory(fault: Exception) -> bool:
    return isinstance(fault, MemoryError) or any(sign in str(fault).lower() for sign in _MEMORY)
