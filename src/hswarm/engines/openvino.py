"""The engine on OpenVINO: the fastest on a CPU. Prompts of any length and experts of any pool run together.

What an expert has read is kept: the keys and values of every prompt's tokens stay in memory, and a later prompt of the
same expert goes on from the longest beginning that it shares with one of them (engines/prefix_tree.py). A reply is the
same whatever was kept and whatever else is in its batch, so a run that was interrupted repeats. Where a processor's
products depend on the shape of a batch after all, which is tried once, nothing is kept from one batch to the next.

The replies of a fusion are made by the transformers engine beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from hswarm.engines.base import (
    Completion,
    Dtype,
    Engine,
    EngineSettings,
    Likelihoods,
    Request,
    Sampling,
    answer_by_batches,
    engine,
    mixed_batches,
)
from hswarm.engines.chat import Chat, digest_of, seed_of
from hswarm.engines.openvino_export import exported
from hswarm.errors import ConfigError, MissingExtra
from hswarm.experts.adapter import Adapter
from hswarm.experts.base import find_base
from hswarm.experts.blend import module_sizes
from hswarm.experts.compatibility import check_adapters
from hswarm.experts.expert import Expert, Node
from hswarm.experts.fusion import Fusion

try:
    import openvino as ov

    from hswarm.engines.openvino_int8 import in_bytes
    from hswarm.engines.openvino_model import PagedModel, is_exact
    from hswarm.engines.openvino_reader import Reader, Text
except ImportError as missing:
    raise MissingExtra("engine 'openvino'", "cpu") from missing

_USUAL = 128  # requests of a batch: reading the weights once a token takes most of the time
_TOKENS = 512  # room for each request of a batch beside what is kept; longer ones wait for each other
_LEAST_TOKENS = 8192  # so that one long request has room
_EXPERTS = 8  # of a batch: each adds its products to every row
_AT_ONCE = 8  # requests whose endings are read together: a distribution over the vocabulary for each token
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}  # of what is not weights


@engine(
    "openvino",
    "OpenVINO, the fastest on a CPU",
    paper="https://github.com/openvinotoolkit/openvino",
    extras=("cpu",),
)
class OpenVINOEngine:
    """Greedy or sampled replies of one causal language model under many LoRA experts, on a CPU."""

    def __init__(self, settings: EngineSettings, base: str) -> None:
        if settings.device not in ("auto", "cpu") or settings.dtype == "float16":
            raise ConfigError(
                [
                    f"engine 'openvino' runs on a CPU in float32, bfloat16 or int8, got engine.device = "
                    f"'{settings.device}', engine.dtype = '{settings.dtype}'"
                ]
            )
        folder, self._base = find_base(base), base
        self._settings, self._dtype = settings, _dtype(settings.dtype)
        self._chat, self._folder = Chat(folder, base), exported(folder)
        if self._dtype == "int8":
            self._folder = in_bytes(self._folder)
        self._shape = json.loads((self._folder / "shape.json").read_text())
        self._modules: frozenset[str] = frozenset()
        self._reader: Reader | None = None
        self._keeps = True
        self.divisible = False
        """Whether no reply depends on its batch; known once a model was opened."""
        self._fingerprint = "/".join(["openvino", version("openvino"), self._dtype, digest_of(folder)])

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def tokens_computed(self) -> int:
        """Tokens that went through the model so far, of prompts and of replies."""
        return self._reader.computed if self._reader else 0

    def check(self, experts: Sequence[Expert]) -> None:
        self._fitting(experts)

    def _fitting(self, experts: Sequence[Node]) -> list[Adapter]:
        return check_adapters(experts, self._shape["linears"], self._base, "openvino")

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        """One sampling a batch, prompts of the same expert with the same prefix side by side."""
        return mixed_batches(
            requests,
            self._settings.usual_batch(_USUAL),
            lambda request: request.prompt,
            lambda expert: not isinstance(expert, Fusion),
            _EXPERTS,
        )

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        def reply(batch: list[int]) -> list[Completion]:
            answer = self._beside.generate if isinstance(requests[batch[0]].expert, Fusion) else self._reply
            return answer([requests[i] for i in batch])

        return answer_by_batches(self.batches(requests), requests, reply)

    @cached_property
    def _beside(self) -> Engine:
        from hswarm.engines.transformers import TransformersEngine

        dtype: Dtype = "float32" if self._dtype == "int8" else self._dtype
        return TransformersEngine(replace(self._settings, device="cpu", dtype=dtype), self._base)

    def _reply(self, requests: Sequence[Request]) -> list[Completion]:
        reader, places = self._put([request.expert for request in requests])
        sampling = requests[0].sampling

        def reply(kept: list[int], prompts: list[list[int]]) -> list[Completion]:
            texts = [
                Text(requests[i].expert.digest, places[i], list(ids)) for i, ids in zip(kept, prompts, strict=True)
            ]
            seeds = {text: seed_of([requests[i]]) for text, i in zip(texts, kept, strict=True)}
            for part in reader.parts(texts, sampling.max_new_tokens):
                self._write(reader, part, sampling, seeds)
            pairs = zip(texts, map(len, prompts), strict=True)
            return [self._chat.completion(text.ids[length:], length) for text, length in pairs]

        return self._chat.answer(requests, reply)

    def _write(self, reader: Reader, texts: Sequence[Text], sampling: Sampling, seeds: Mapping[Text, int]) -> None:
        """Add new tokens to `texts`, each until one ends it or there are as many as `sampling` allows."""
        draws = {text: np.random.default_rng(seeds[text]) for text in texts}
        with reader.reading(texts) as first:
            logits, going = np.concatenate(first), list(texts)
            for left in range(sampling.max_new_tokens, 0, -1):
                for text, row in zip(going, logits, strict=True):
                    text.ids.append(_drawn(row, sampling, draws[text]))
                going = [text for text in going if text.ids[-1] not in self._chat.stops]
                if left == 1 or not going:
                    return
                logits = reader.go_on(going)

    def loglikelihood(self, requests: Sequence[Request]) -> list[Likelihoods]:
        """Prompts are read once, and the endings of a few requests after them together."""
        reader, places = self._put([request.expert for request in requests])
        found = []
        for start in range(0, len(requests), _AT_ONCE):
            few = list(zip(requests, places, strict=True))[start : start + _AT_ONCE]
            asked = [(*self._chat.endings(request), request.expert.digest, place) for request, place in few]
            texts = {
                (i, tuple(ending[:-1])): Text(space, place, [*prompt, *ending[:-1]], len(ending))
                for i, (prompt, endings, space, place) in enumerate(asked)
                for ending in endings
            }
            logs: dict[Text, NDArray[np.float32]] = {}
            for part in reader.parts(list(texts.values()), 0):
                with reader.reading(part) as logits:
                    logs.update(zip(part, map(_log_softmax, logits), strict=True))
            for i, (prompt, endings, *_) in enumerate(asked):
                rows = [logs[texts[i, tuple(ending[:-1])]] for ending in endings]
                sums = [float(row[range(len(e)), e].sum()) for row, e in zip(rows, endings, strict=True)]
                found.append(Likelihoods(sums, len(prompt)))
        return found

    def _put(self, experts: Sequence[Node]) -> tuple[Reader, list[int]]:
        """The reader, with the distinct ones of `experts` put beside the weights, and the place of each.

        The model is made again if one changes modules that none before it did.
        """
        adapters = self._fitting(list({expert.digest: expert for expert in experts}.values()))
        modules = frozenset(module for adapter in adapters for module in _modules(adapter))
        if self._reader is None or not modules <= self._modules:
            self._modules |= modules
            self._reader = self._open(adapters)
        elif not self._keeps:
            self._reader.forget()
        self._reader.model.put(adapters)
        places = {adapter.digest: place for place, adapter in enumerate(adapters)}
        return self._reader, [places[expert.digest] for expert in experts]

    def _open(self, adapters: Sequence[Adapter]) -> Reader:
        """A reader with room for what was asked for, which keeps what it read if that changes nothing."""
        linears = {module: self._shape["linears"][module] for module in sorted(self._modules)}
        size = self._shape["cache_values"] * (2 if self._dtype == "bfloat16" else 4)
        tokens = max(_LEAST_TOKENS, self._settings.usual_batch(_USUAL) * _TOKENS) + self._settings.prefix_bytes // size
        model = PagedModel(self._folder, linears, _PRECISIONS[self._dtype], tokens)
        model.put(adapters)
        cache = self._settings.prefix_cache
        self.divisible = is_exact(model)
        self._keeps = self.divisible if cache == "auto" else cache == "run"
        return Reader(model)


def _modules(expert: Adapter) -> frozenset[str]:
    """The base's modules that an expert changes."""
    assert expert.form is not None
    return frozenset(module_sizes(expert.form))


def _drawn(logits: NDArray[np.float32], sampling: Sampling, rng: np.random.Generator) -> int:
    """The likeliest token, or one sampled as `sampling` says; `logits` of shape (vocabulary,)."""
    if not sampling.temperature:
        return int(logits.argmax())
    shares = np.exp(_log_softmax(logits[None] / sampling.temperature)[0].astype(np.float64))
    order = np.argsort(-shares, kind="stable")
    sums = shares[order].cumsum()
    count = int(np.searchsorted(sums, sampling.top_p)) + 1  # the smallest set whose share reaches top_p
    return int(order[np.searchsorted(sums[:count], rng.random() * sums[:count][-1], side="right")])


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    logits = logits - logits.max(-1, keepdims=True)
    found: NDArray[np.float32] = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return found


def _dtype(name: Dtype) -> Dtype:
    """bfloat16 where the processor multiplies in it, else float32."""
    if name != "auto":
        return name
    return "bfloat16" if "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "float32"
