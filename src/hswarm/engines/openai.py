"""The engine for experts behind OpenAI-compatible APIs: concurrent calls, each reply kept as soon as it arrives.

The `openai` client handles waiting, back-off with jitter and Retry-After. A server that stays unreachable
ends the step with EngineError: replies so far are kept, and the run can be resumed. A call that a server refuses for
its content, or that fails at every attempt, is a failed completion.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar

import openai
from anyio.from_thread import start_blocking_portal

from hswarm.consent import check_address
from hswarm.engines.base import Completion, EngineSettings, Request, engine
from hswarm.errors import EngineError, PoolError, UserError
from hswarm.experts.expert import Expert
from hswarm.experts.fusion import Callee
from hswarm.experts.remote import RemoteExpert, RemoteSettings

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion


_AWAY = (409, 429, 502, 503, 504)  # the server is busy or unreachable; the call itself is not at fault
_SAID = 200  # characters of a server's message
_REPLIES = 2  # attempts to get a well-formed reply


@engine("openai", "Models behind an OpenAI-compatible API", paper="https://platform.openai.com/docs/api-reference/chat")
class OpenAIEngine:
    """Chat completions of remote experts. Replies do not depend on their batch."""

    fault = ""  # of the last call that was given up
    _calls: ClassVar[Counter[str]] = Counter()  # made by this process, by expert: a limit holds over all engines

    def __init__(self, settings: EngineSettings, base: str) -> None:
        """Nothing to set up: remote experts have their own settings."""

    @property
    def fingerprint(self) -> str:
        return "openai/1"

    def check(self, experts: Sequence[Expert]) -> None:
        for expert in experts:
            _key(_remote(expert))

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        """One batch: `concurrency` limits the calls in flight."""
        return [list(range(len(requests)))] if requests else []

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        made: dict[int, Completion] = {}
        self.arrive(requests, made.__setitem__)
        return [made[i] for i in range(len(requests))]

    def arriving(self, request: Request) -> bool:
        return True

    def arrive(self, requests: Sequence[Request], keep: Callable[[int, Completion], None]) -> None:
        """`keep` is called in this thread; calls run in another, as an event loop may run here (a notebook's)."""
        answers: SimpleQueue[tuple[int, Completion] | None] = SimpleQueue()
        with start_blocking_portal() as portal:  # an exception here, even Ctrl-C, cancels the calls in flight
            made = portal.start_task_soon(self._all, requests, answers.put)
            made.add_done_callback(lambda _: answers.put(None))
            for answer in iter(answers.get, None):
                keep(*answer)
            made.result()

    async def _all(self, requests: Sequence[Request], put: Callable[[tuple[int, Completion]], None]) -> None:
        async with AsyncExitStack() as stack:
            doors: dict[str, _Door] = {}
            for request in requests:
                if request.expert.digest not in doors:
                    doors[request.expert.digest] = door = _Door(_remote(request.expert))
                    await stack.enter_async_context(door.client)
            tasks = [
                asyncio.create_task(self._one(i, request, doors[request.expert.digest]))
                for i, request in enumerate(requests)
            ]
            try:
                for done in asyncio.as_completed(tasks):
                    put(await done)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, i: int, request: Request, door: _Door) -> tuple[int, Completion]:
        async with door.places:
            limit = door.remote.calls
            if limit and self._calls[request.expert.digest] >= limit:
                raise EngineError(
                    f"the budget of {limit} calls of '{door.remote.model}' is spent; raise its calls, "
                    "then resume the run"
                )
            self._calls[request.expert.digest] += 1
            await door.turn()
            try:
                return i, await door.ask(request)
            except _GivenUp as given_up:
                self.fault = str(given_up)
                return i, Completion("", "failed", 0, 0)


class _GivenUp(Exception):
    """One call has no reply, for this reason; others may have one."""


class _Door:
    """One remote model during one wave: its client, its concurrency limit and its rate limit."""

    _next: ClassVar[dict[tuple[str, str], float]] = {}  # when a model's next call may begin: it holds over all waves

    def __init__(self, remote: RemoteSettings) -> None:
        self.remote = remote
        self.places = asyncio.Semaphore(remote.concurrency)
        self.client = openai.AsyncOpenAI(
            base_url=remote.url,
            api_key=_key(remote),
            timeout=remote.timeout_s,
            max_retries=remote.attempts - 1,
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),  # only this address is allowed
        )
        self.client.organization = self.client.project = None  # else read from variables not allowed

    async def turn(self) -> None:
        """Wait until the rate limit allows one more call."""
        if self.remote.per_minute:
            now, model = time.monotonic(), (self.remote.url, self.remote.model)
            start = max(now, self._next.get(model, now))
            self._next[model] = start + 60 / self.remote.per_minute
            await asyncio.sleep(start - now)

    async def ask(self, request: Request) -> Completion:
        """The reply. EngineError if the server is unreachable, UserError if it refuses key or model, else _GivenUp."""
        for _ in range(_REPLIES):
            try:
                return _completion(await self._create(request))
            except (ValueError, RecursionError) as fault:
                wrong = f"'{self.remote.model}' at {self.remote.url} sends no chat completion: {fault}"
        raise _GivenUp(wrong)

    async def _create(self, request: Request) -> ChatCompletion:
        remote, sampling = self.remote, request.sampling
        options: dict[str, Any] = {"temperature": sampling.temperature, "max_tokens": sampling.max_new_tokens}
        if sampling.temperature:
            options |= {"top_p": sampling.top_p, "seed": sampling.seed}
        try:
            made: ChatCompletion = await self.client.chat.completions.create(
                model=remote.model, messages=[{"role": "user", "content": request.prompt}], **options
            )
            return made
        except (openai.AuthenticationError, openai.PermissionDeniedError) as fault:
            name = f"the key in ${remote.key}" if remote.key else "a call without a key"
            raise UserError(
                f"{remote.url} refuses {name} (status {fault.status_code}); "
                "set a key that it accepts, then resume the run"
            ) from None
        except openai.NotFoundError:
            raise UserError(
                f"{remote.url} has no model '{remote.model}' or is no OpenAI-compatible API "
                "(status 404); set model and url"
            ) from None
        except openai.APIError as fault:
            if getattr(fault, "status_code", 0) in _AWAY or _unconnected(fault):
                raise EngineError(
                    f"'{remote.model}' at {remote.url} cannot be reached ({_why(fault, remote)}, "
                    f"{remote.attempts} attempts); what it answered is kept: start it, "
                    "then resume"
                ) from None
            raise _GivenUp(f"'{remote.model}' at {remote.url}: {_why(fault, remote)}") from None


def _completion(reply: ChatCompletion) -> Completion:
    """Other servers leave out more fields than the client's types allow. ValueError without a usable reply."""
    try:
        first = reply.choices[0]
        text, finish, usage = first.message.content or "", first.finish_reason, getattr(reply, "usage", None)
    except (AttributeError, IndexError, TypeError) as fault:
        raise ValueError(f"{str(reply)[:80]!r}") from fault
    if not isinstance(text, str):
        raise ValueError(f"the content is a {type(text).__name__}")
    if finish == "content_filter":
        raise _GivenUp("a reply was filtered by its server")
    spent = [getattr(usage, f"{kind}_tokens", 0) for kind in ("prompt", "completion")]
    read, written = (count if isinstance(count, int) else 0 for count in spent)
    text = text.encode(errors="replace").decode()  # half a character could not be sent on
    return Completion(text.strip(), "length" if finish == "length" else "stop", read, written)


def _unconnected(fault: openai.APIError) -> bool:
    """Whether no server answers; a connection that breaks in mid-reply may be the call's fault."""
    return type(fault.__cause__).__name__ in (
        "ConnectError",
        "ConnectTimeout",
    )  # httpx's or, in later clients, httpx2's


def _why(fault: openai.APIError, remote: RemoteSettings) -> str:
    if isinstance(fault, openai.APIStatusError):
        return f"status {fault.status_code}{_words(fault, _key(remote))}"
    if isinstance(fault, openai.APITimeoutError):
        return "no reply in time"
    return "no connection" if _unconnected(fault) else f"a broken reply ({type(fault.__cause__).__name__})"


def _words(fault: openai.APIStatusError, key: str) -> str:
    """The server's message about a refusal ({"error": {"message": ...}}, FastAPI's "detail"), without the key."""
    try:
        said = fault.response.json()
    except (ValueError, RecursionError):
        return ""
    for name in ("error", "message", "detail"):
        said = said.get(name, said) if isinstance(said, dict) else said
    return f": {' '.join(said.replace(key, '...').split())[:_SAID]}" if isinstance(said, str) and said else ""


def _remote(expert: Callee) -> RemoteSettings:
    if not isinstance(expert, RemoteExpert):
        raise PoolError(
            f"expert '{expert.name}' has weights of its own, engine 'openai' runs [[pool.remote]] experts "
            "only; set engine.name to a local engine"
        )
    return expert.remote


def _key(remote: RemoteSettings) -> str:
    """The key to send. ConsentError unless the user allows calls to this address with this variable."""
    check_address(remote.url, remote.key, what=f"expert '{remote.name}'")
    if not remote.key:
        return "none"
    if not os.environ.get(remote.key):
        raise PoolError(f"expert '{remote.name}' needs the key of {remote.url} in ${remote.key}, which is not set")
    return os.environ[remote.key]
