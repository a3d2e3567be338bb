"""The engine for tools: runs them in this process, a few at a time, each reply bounded in time and length.

What goes wrong with a text becomes the reply, since other nodes can make use of it; a tool that does not work at all
makes the call a failed one. Replies do not depend on their batch.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from threading import Thread

from hswarm.engines.base import Completion, Request
from hswarm.errors import HSwarmError, PoolError
from hswarm.experts.expert import Expert
from hswarm.experts.fusion import Callee
from hswarm.experts.tool import ToolExpert
from hswarm.tools.base import Tool, Unavailable, make

_AT_ONCE = 8
_LATE = 8  # calls of a tool that run past its limit, with which no more are begun


class ToolEngine:
    """Answers for tools alone."""

    fingerprint = "tools/1"
    fault = ""  # of the last call that failed

    def __init__(self) -> None:
        self._made: dict[str, Tool] = {}
        self._late: list[_Call] = []  # those that were given up and still run

    def check(self, experts: Sequence[Expert]) -> None:
        """Makes every tool: ConfigError and ConsentError come before the first call."""
        for expert in experts:
            self._tool(expert)

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        """As many as run at once, so that what was answered is kept."""
        return [list(range(i, min(i + _AT_ONCE, len(requests)))) for i in range(0, len(requests), _AT_ONCE)]

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        return [made for batch in self.batches(requests) for made in self._at_once([requests[i] for i in batch])]

    def _at_once(self, requests: Sequence[Request]) -> list[Completion]:
        """Threads, since a tool that hangs cannot be stopped from without: it is left behind, and holds up no exit."""
        calls = [
            _Call(self._tool(request.expert), _tool_expert(request.expert), request.prompt) for request in requests
        ]
        self._late = [call for call in self._late if call.is_alive()]
        late = Counter(call.expert.digest for call in self._late)
        began = time.monotonic()
        for call in calls:
            call.begin(late[call.expert.digest])
        for call in calls:
            call.wait(max(0.0, began + call.seconds - time.monotonic()))
        self._late += [call for call in calls if call.is_alive()]
        self.fault = next((call.unavailable for call in calls if call.unavailable), self.fault)
        return [call.completion() for call in calls]

    def _tool(self, expert: Callee) -> Tool:
        if expert.digest not in self._made:
            self._made[expert.digest] = make(_tool_expert(expert))
        return self._made[expert.digest]


class _Call(Thread):
    """One call of a tool."""

    def __init__(self, tool: Tool, expert: ToolExpert, text: str) -> None:
        super().__init__(daemon=True)
        self._tool, self.expert, self._text = tool, expert, text
        self._reply: str | None = None
        self._own: HSwarmError | None = None
        self.unavailable = ""

    @property
    def seconds(self) -> float:
        """How long it may take; a tool that has the same limit itself is left to keep it."""
        return self.expert.settings.timeout_s + 0.5

    def begin(self, late: int) -> None:
        """Start, unless `late` calls of the tool, too many, still run past its limit."""
        if late < _LATE:
            self.start()
            return
        self.unavailable = (
            f"tool '{self.expert.name}': {late} calls still run past its limit of "
            f"{self.expert.settings.timeout_s:g} s, so no more are begun; make the tool keep the limit, "
            "which it gets as timeout_s, or raise it, then start again"
        )

    def wait(self, seconds: float) -> None:
        """Until it has ended, if it was started, at most so long."""
        if self.is_alive():
            self.join(seconds)

    def run(self) -> None:
        try:
            made = self._tool(self._text)
            self._reply = made if isinstance(made, str) else f"error: the tool gave {type(made).__name__}, not a text"
        except Unavailable as fault:
            self.unavailable = f"tool '{self.expert.name}': {fault}"
        except HSwarmError as fault:
            self._own = fault
        except Exception as fault:  # whatever a user's Python raises
            self._reply = (
                f"error: {fault}" if isinstance(fault, ValueError) else f"error: {type(fault).__name__}: {fault}"
            )

    def completion(self) -> Completion:
        """The reply, as far as there is one."""
        if self._own:
            raise self._own
        if self.unavailable:
            return Completion("", "failed", 0, 0)
        limit, reply = self.expert.settings.longest, self._reply
        if reply is None:
            reply = f"error: no reply in {self.expert.settings.timeout_s:g} s"
        return Completion(reply[:limit], "length" if len(reply) > limit else "stop", 0, 0)


def _tool_expert(expert: Callee) -> ToolExpert:
    if not isinstance(expert, ToolExpert):
        raise PoolError(f"expert '{expert.name}' is no tool; its base is missing")
    return expert
