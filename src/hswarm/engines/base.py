"""What an engine is: it knows experts and text, not graphs, tasks or swarms."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, Protocol, runtime_checkable

from annotated_types import Ge, Le, Lt

from hswarm.errors import ConfigError
from hswarm.experts.expert import Expert
from hswarm.experts.fusion import Callee
from hswarm.options import SETTINGS, check_ranges
from hswarm.registry import Part, Room

engine = Room("engines", "hswarm.engines", "engine", Part)


_USUAL = 32  # prompts at a time, with most engines
LEAST = 1e-4  # of temperature (or 0) and top_p: smaller values give NaN in 16 or 32 bits


@dataclass(frozen=True)
class Sampling:
    """How a reply is sampled. `temperature` 0 is greedy; `seed` distinguishes repeated samples of one prompt.

    `choose` answers a question with options by likelihood instead of generating text: that of each "letter",
    or of each option's "text" per character. `thinking` lets a base reason first if its chat template supports that.
    """

    max_new_tokens: int = 50
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    choose: Literal["", "letter", "text"] = ""
    thinking: bool = False

    def within(self, limit: int | None) -> Sampling:
        """The same sampling with at most `limit` new tokens."""
        return self if limit is None or limit >= self.max_new_tokens else replace(self, max_new_tokens=limit)

    def text(self) -> str:
        """The part of a call's cache key that describes sampling."""
        return _text(self)


@lru_cache
def _text(sampling: Sampling) -> str:
    fields = {key: value for key, value in asdict(sampling).items() if key not in ("choose", "thinking") or value}
    return json.dumps(fields, sort_keys=True)


@dataclass(frozen=True)
class Output:
    """What is asked of a reply beside its text.

    `logprobs`: the log-probability of each of its tokens, with those of so many likeliest ones; None: not asked for.
    `json`: the reply is a JSON object, whole unless it is cut off.
    """

    logprobs: int | None = None
    json: bool = False


class TokenLogprob(NamedTuple):
    """A token of a reply and its log-probability, in nats, by the model as it is, before temperature and top_p; the
    same of the `likeliest` tokens in its place, the likeliest first."""

    text: str
    logprob: float
    likeliest: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Request:
    """One call of a prompt; with `options` (letter, text) one is chosen as `sampling.choose` says."""

    expert: Callee
    prompt: str
    sampling: Sampling
    options: tuple[tuple[str, str], ...] = ()
    output: Output = Output()

    @property
    def endings(self) -> list[str]:
        """The options as replies."""
        return [letter if self.sampling.choose == "letter" else text for letter, text in self.options]


@dataclass(frozen=True)
class Completion:
    """One reply. `finish` is "stop" (complete), "length" (cut off), "failed" (no reply: never scored) or "skipped" (a
    route did not ask).

    A prompt that leaves no room for a reply in the base's context is not sent: its reply is empty and "length".
    """

    text: str
    finish: Literal["stop", "length", "failed", "skipped"]
    prompt_tokens: int
    completion_tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class SamplingSettings:
    """`[sampling]`: how tokens are drawn."""

    __pydantic_config__ = SETTINGS

    temperature: float = 0.0
    """0 is greedy, the setting in which reuse of calls is exact."""
    top_p: float = 1.0
    """Share of the probability that tokens are drawn from."""
    max_new_tokens: int | None = None
    """Most tokens of a reply (default: as the task says)."""
    choose: Literal["", "letter", "text"] = ""
    """How the sink answers a question with options: by the likelihood of each "letter", or of each option's "text" per
    character; "": by generating text."""


Dtype = Literal["auto", "float32", "bfloat16", "float16", "int8"]


@dataclass(frozen=True)
class EngineSettings:
    """`[engine]`: what runs the models. Fields that an engine has no use for must stay at their defaults."""

    __pydantic_config__ = SETTINGS

    name: str = "transformers"
    """The engine: a name of `hswarm list engines`, or "auto"."""
    dtype: Dtype = "auto"
    """Number format of the weights; "int8" is for engine openvino on processors that have VNNI and no bfloat16."""
    device: str = "auto"
    """Where models run: "auto", "cpu", "cuda", "cuda:1", "mps" ..."""
    batch: Annotated[int, Ge(0)] | Literal["auto"] = 0
    """Prompts computed at a time; 0: 128 with openvino, 32 with other engines; "auto": as many as fit into free memory
    (transformers; other engines as with 0)."""
    prefix_cache: Literal["auto", "batch", "run"] = "auto"
    """openvino, vllm: a shared prefix is computed once within a "batch", or over the whole "run"; "auto": over the run
    where replies do not depend on it (openvino), else within a batch."""
    prefix_bytes: Annotated[int, Ge(0)] = 2**30
    """openvino: memory for keys and values of prompts that were read, those unused for longest make room."""
    retries: Annotated[int, Ge(0)] = 2
    """A batch that fails is tried again this often; then its calls count as failed."""
    timeout: Annotated[float, Ge(0), Lt(1e8)] = 3600.0
    """Seconds without a reply that stop the search, which can be resumed; 0: no limit."""
    max_failed: Annotated[float, Ge(0), Le(1)] = 0.1
    """Share of a step's calls that may fail; more stop the search, which can be resumed."""
    devices: tuple[int, ...] | Literal["auto"] = ()
    """A worker process on each GPU with these numbers, or without GPUs on its share of the cores; "auto" uses all."""
    cluster: str = ""
    """Workers on a Ray cluster: "ray://host:port", the one this machine belongs to ("auto"), or one started here
    ("local") (docs/scaling.md)."""
    workers: Annotated[int, Ge(0)] = 0
    """Workers on the cluster; 0: as many as fit."""
    options: dict[str, Any] = field(default_factory=dict)
    """The engine's own options (`hswarm list engines`)."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", self.device):
            raise ValueError(f"device must be 'auto', 'cpu', 'cuda', 'cuda:1', 'mps' or 'xpu', got '{self.device}'")
        if not isinstance(self.devices, str):
            object.__setattr__(self, "devices", tuple(self.devices))  # a list where it was read from JSON
        if self.devices and self.cluster:
            raise ValueError("devices are this machine's, cluster is another; set one of the two")
        if self.cluster not in ("", "auto", "local") and not self.cluster.startswith("ray://"):
            raise ValueError(f'cluster must be "ray://host:port", "auto" or "local", got \'{self.cluster}\'')
        if self.workers and not self.cluster:
            raise ValueError(f"workers is a number of actors on a cluster, got {self.workers}")
        check_ranges(self)

    def usual_batch(self, usual: int = _USUAL) -> int:
        """Prompts at a time where memory does not decide: those of the setting, else an engine's `usual` number."""
        return usual if self.batch == "auto" or not self.batch else self.batch

    def refuse_int8(self) -> None:
        """ConfigError where weights of 8 bits are asked of an engine that has none."""
        if self.dtype == "int8":
            raise ConfigError(
                [
                    "engine.dtype = 'int8' is for engine.name = 'openvino' on a CPU, other engines take "
                    "'float32', 'bfloat16' or 'float16'; change one of the two"
                ]
            )

    def alone(self) -> EngineSettings:
        """The same engine in one process: the settings that a worker opens and that a system is saved with."""
        return replace(self, devices=(), cluster="", workers=0)


class Engine(Protocol):
    """Answers requests. Two engines with the same fingerprint give equal replies to equal batches."""

    @property
    def fingerprint(self) -> str:
        """Identifies everything but the expert that a reply depends on: model, dtype, versions."""

    def check(self, experts: Sequence[Expert]) -> None:
        """PoolError for the first of `experts` that this engine's base cannot take."""

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        """The batches (positions in `requests`) in which this engine answers fastest."""

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion for each request, in order. A batch may mix experts."""


class Likelihoods(NamedTuple):
    """The log-probability, in nats, of each ending of a request as its reply, and the tokens of its prompt.

    No log-probabilities where the base's context has no room for them.
    """

    logs: list[float]
    prompt_tokens: int


@runtime_checkable
class LikelihoodEngine(Engine, Protocol):
    """An engine that can say how likely given replies are."""

    def loglikelihood(self, requests: Sequence[Request]) -> list[Likelihoods]:
        """How likely each of a request's `endings` is as its reply; requests are a batch of `batches`."""


@runtime_checkable
class StreamingEngine(Engine, Protocol):
    """An engine that can stream replies."""

    def stream(self, requests: Sequence[Request], tell: Callable[[int, str], None]) -> list[Completion]:
        """As `generate`; meanwhile `tell(i, text)` is called with the reply to request i so far, which only grows."""


@runtime_checkable
class OutputEngine(Engine, Protocol):
    """An engine that can give more than a reply's text."""

    def offers(self, expert: Callee) -> frozenset[str]:
        """The fields of Output that it can do for replies of `expert`."""


@runtime_checkable
class IncrementalEngine(Engine, Protocol):
    """An engine whose replies do not depend on their batch, so that each can be kept as it arrives."""

    def arriving(self, request: Request) -> bool:
        """Whether the reply to `request` does not depend on its batch."""

    def arrive(self, requests: Sequence[Request], keep: Callable[[int, Completion], None]) -> None:
        """As `generate`, but `keep(i, completion)` is called for request i as soon as it is answered."""


Ask = Callable[[Sequence[Request]], list[Completion]]


@runtime_checkable
class SpreadingEngine(Engine, Protocol):
    """An engine of several workers, which answers several batches at once; its `generate` takes options too."""

    def spread(
        self, batches: Sequence[Sequence[Request]], guarded: Callable[[Sequence[Request], Ask], list[Completion]]
    ) -> Iterator[tuple[int, list[Completion]]]:
        """(i, the completions of batch i), as batches finish.

        Each comes from `guarded(batch, ask)`, which calls a worker by `ask` and handles its faults, in any thread.
        """


def close(engine: object) -> None:
    """End the processes that `engine` holds, if it does."""
    if end := getattr(engine, "close", None):
        end()


def group_batches(
    requests: Sequence[Request], size: int, order: Callable[[Request], str | tuple[int, str]]
) -> list[list[int]]:
    """Batches of at most `size` positions in `requests`, one expert and one sampling each, sorted by `order`."""
    groups: dict[tuple[str, str], list[int]] = {}
    for i, request in enumerate(requests):
        groups.setdefault((request.expert.digest, request.sampling.text()), []).append(i)
    batches = []
    for group in groups.values():
        group.sort(key=lambda i: order(requests[i]))
        batches += [group[i : i + size] for i in range(0, len(group), size)]
    return batches


def mixed_batches(
    requests: Sequence[Request],
    size: int,
    order: Callable[[Request], str | tuple[int, str]],
    mixes: Callable[[Callee], bool],
    experts: int | None = None,
) -> list[list[int]]:
    """As group_batches, but experts that `mixes` is true of share a batch, `experts` of them at most.

    An expert's full batches are its own. What is left of each is never split, and the largest of it come first, so
    that experts of a batch have about equally many rows.
    """
    whole: list[list[int]] = []
    left: dict[str, list[list[int]]] = {}
    for batch in group_batches(requests, size, order):
        first = requests[batch[0]]
        shares = len(batch) < size and mixes(first.expert)
        (left.setdefault(first.sampling.text(), []) if shares else whole).append(batch)
    for groups in left.values():
        groups.sort(key=lambda batch: (-len(batch), order(requests[batch[0]])))
        made: list[list[list[int]]] = []
        for group in groups:
            if made and sum(map(len, made[-1])) + len(group) <= size and len(made[-1]) != experts:
                made[-1].append(group)
            else:
                made.append([group])
        whole += [[i for group in batch for i in group] for batch in made]
    return whole


def answer_by_batches(
    batches: Sequence[Sequence[int]], requests: Sequence[Request], reply: Callable[[list[int]], list[Completion]]
) -> list[Completion]:
    """A completion for each of `requests`, in order: `reply` makes those of one batch of positions."""
    made: dict[int, Completion] = {}
    for batch in batches:
        made.update(zip(batch, reply(list(batch)), strict=True))
    return [made[i] for i in range(len(requests))]
