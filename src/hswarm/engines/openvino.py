"""The engine on OpenVINO GenAI: the fastest on a CPU. Prompts of any length run together, without padding.

The pipeline holds one adapter at a time, so a batch holds one expert; switching copies two small matrices a layer.
Prefix caching: GenAI finds cached blocks by token ids alone, so an expert would go on from another's keys and values
(measured: wrong answers, no warning). The exported model takes ids modulo the vocabulary, and each batch writes its
first token in a multiple of its own: the same text to the model, other blocks to the cache. The prefix that a batch
shares is computed first, since requests that arrive together do not wait for each other's blocks.

GenAI gives no next-token distributions: the replies of a fusion are made by the transformers engine beside it, and
options are chosen by a second compiled model (engines/openvino_likelihood.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from itertools import pairwise, takewhile
from typing import Any

import numpy as np
from safetensors.numpy import save

from hswarm.engines.base import (
    Completion,
    Engine,
    EngineSettings,
    Likelihoods,
    Request,
    answer_by_batches,
    engine,
    group_batches,
)
from hswarm.engines.chat import Chat, digest_of, seed_of
from hswarm.engines.openvino_export import exported
from hswarm.errors import ConfigError, MissingExtra
from hswarm.experts.adapter import Adapter
from hswarm.experts.base import find_base
from hswarm.experts.blend import module_sizes, plain
from hswarm.experts.compatibility import check_adapters
from hswarm.experts.expert import Expert, Node
from hswarm.experts.form import Vector
from hswarm.experts.fusion import Fusion

try:
    import openvino as ov
    import openvino_genai as genai

    from hswarm.engines.openvino_likelihood import LikelihoodModel
except ImportError as missing:
    raise MissingExtra("engine 'openvino'", "cpu") from missing

_BLOCK = 32  # tokens of a block of the prefix cache on a CPU
_TOKENS = 512  # room in the key-value cache for each request of a batch; longer ones wait for each other
_LEAST_TOKENS = 8192  # of the whole cache, so that one long request has room
_STEP_TOKENS = 1024  # computed at once: more is no faster and takes gigabytes for the vocabulary's logits
_KEPT_BYTES = 2**30  # of the cache of a whole run
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


@engine(
    "openvino",
    "OpenVINO GenAI, the fastest on a CPU",
    paper="https://github.com/openvinotoolkit/openvino.genai",
    extras=("cpu",),
)
class OpenVINOEngine:
    """Greedy or sampled replies of one causal language model under many LoRA experts, on a CPU."""

    def __init__(self, settings: EngineSettings, base: str) -> None:
        if settings.device not in ("auto", "cpu") or settings.dtype == "float16":
            raise ConfigError(
                [
                    f"engine 'openvino' runs on a CPU in float32 or bfloat16, got engine.device = "
                    f"'{settings.device}', engine.dtype = '{settings.dtype}'"
                ]
            )
        folder, self._base = find_base(base), base
        self._chat, self._model = Chat(folder, base), exported(folder)
        self._shape = json.loads((self._model / "shape.json").read_text())
        self._settings, self._dtype = settings, _dtype(settings.dtype)
        self._modules: frozenset[str] = frozenset()
        self._pipeline: Any = None
        self._likelihood: LikelihoodModel | None = None
        self._spaces: dict[str, int] = {}
        self._fingerprint = "/".join(["openvino", version("openvino-genai"), self._dtype, digest_of(folder)])

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def check(self, experts: Sequence[Expert]) -> None:
        self._fitting(experts)

    def _fitting(self, experts: Sequence[Node]) -> list[Adapter]:
        return check_adapters(experts, self._shape["linears"], self._base, "openvino")

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        """One expert and one sampling a batch, prompts with the same prefix side by side."""
        return group_batches(requests, self._settings.usual_batch, lambda request: request.prompt)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        def reply(batch: list[int]) -> list[Completion]:
            answer = self._beside.generate if isinstance(requests[batch[0]].expert, Fusion) else self._reply
            return answer([requests[i] for i in batch])

        return answer_by_batches(self.batches(requests), requests, reply)

    @cached_property
    def _beside(self) -> Engine:
        from hswarm.engines.transformers import TransformersEngine

        return TransformersEngine(replace(self._settings, device="cpu", dtype=self._dtype), self._base)

    def loglikelihood(self, requests: Sequence[Request]) -> list[Likelihoods]:
        """A request's prompt is read once, and its endings after it in one batch."""
        return [self._chat.likelihoods(request, self._of_endings) for request in requests]

    def _of_endings(self, expert: Expert, prompt: list[int], endings: list[list[int]]) -> list[float]:
        (adapter,) = self._fitting([expert])
        held = self._likelihood.modules if self._likelihood else frozenset()
        if self._likelihood is None or not _modules(adapter) <= held:
            linears = {module: self._shape["linears"][module] for module in sorted(held | _modules(adapter))}
            self._likelihood = LikelihoodModel(self._model, linears, _PRECISIONS[self._dtype])
        self._likelihood.put(adapter)
        return self._likelihood.of_endings(prompt, endings)

    def _reply(self, requests: Sequence[Request]) -> list[Completion]:
        (expert,) = self._fitting([requests[0].expert])
        self._open(_modules(expert))
        config, first = self._config(requests, expert), self._space(expert) * self._shape["vocabulary"]

        def reply(_: list[int], prompts: list[list[int]]) -> list[Completion]:
            written = [[prompt[0] + first, *prompt[1:]] for prompt in prompts]
            for beginnings in shared_beginnings(written, _BLOCK):
                self._run(beginnings, config, 1)
            results = self._run(written, config, requests[0].sampling.max_new_tokens)
            return [
                self._chat.completion(result.m_generation_ids[0], len(prompt))
                for result, prompt in zip(results, prompts, strict=True)
            ]

        return self._chat.answer(requests, reply)

    def _run(self, prompts: Sequence[Sequence[int]], config: genai.GenerationConfig, max_new_tokens: int) -> Any:
        config.max_new_tokens = max_new_tokens
        tensors = [ov.Tensor(np.array([prompt], dtype=np.int64)) for prompt in prompts]
        return self._pipeline.generate(tensors, [config] * len(prompts))

    def _config(self, requests: Sequence[Request], expert: Adapter) -> object:
        sampling = requests[0].sampling
        config = genai.GenerationConfig()
        config.stop_token_ids = set(self._chat.stops)
        config.adapters = genai.AdapterConfig([_with_scaling(expert)])
        if sampling.temperature > 0:
            config.do_sample, config.temperature, config.top_p = True, sampling.temperature, sampling.top_p
            config.rng_seed = seed_of(requests) % 2**32
        return config

    def _space(self, expert: Expert) -> int:
        """Which multiple of the vocabulary the first token is written in: nothing else shares its cached blocks."""
        if self._settings.prefix_cache == "batch":
            self._spaces[""] = self._spaces.get("", 0) + 1
            return self._spaces[""]
        return self._spaces.setdefault(expert.digest, len(self._spaces) + 1)

    def _open(self, modules: frozenset[str]) -> None:
        """The pipeline, rebuilt if an expert changes modules that none before it did."""
        if self._pipeline is not None and modules <= self._modules:
            return
        self._modules |= modules
        places = {}  # zeros of rank one: declares where adapters may be added
        for module in self._modules:
            rows, columns = self._shape["linears"][module]
            places[f"base_model.model.{module}.lora_A.weight"] = np.zeros((1, columns), np.float32)
            places[f"base_model.model.{module}.lora_B.weight"] = np.zeros((rows, 1), np.float32)
        scheduler = genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        scheduler.max_num_seqs = self._settings.usual_batch
        scheduler.max_num_batched_tokens = _STEP_TOKENS
        tokens = max(_LEAST_TOKENS, self._settings.usual_batch * _TOKENS)
        if self._settings.prefix_cache == "run":  # keep the blocks computed before
            size = self._shape["cache_values"] * (4 if self._dtype == "float32" else 2)
            tokens = max(tokens, _KEPT_BYTES // size)
        scheduler.num_kv_blocks = tokens // _BLOCK
        precision = _PRECISIONS[self._dtype]
        properties = {
            "INFERENCE_PRECISION_HINT": precision,
            "KV_CACHE_PRECISION": precision,
            "adapters": genai.AdapterConfig([_adapter(places)]),
        }
        self._pipeline = genai.ContinuousBatchingPipeline(self._model, scheduler, "CPU", properties)


def shared_beginnings(prompts: Sequence[Sequence[int]], block: int) -> list[list[list[int]]]:
    """Prefixes that several of `prompts` share (neighbours share most), in whole blocks, in the order to compute them.

    First the prefix of them all, then longer ones that neighbours share.
    """
    if len(prompts) < 2:
        return []
    common = [_common(*pair) // block * block for pair in pairwise(prompts)]
    whole = min(common)
    longer = sorted({tuple(prompt[:length]) for prompt, length in zip(prompts, common, strict=False) if length > whole})
    leaves = [one for one, other in zip(longer, [*longer[1:], ()], strict=False) if other[: len(one)] != one]
    layers = [[list(prompts[0][:whole])]] if whole else []
    return layers + ([[list(leaf) for leaf in leaves]] if leaves else [])


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _modules(expert: Adapter) -> frozenset[str]:
    """The base's modules that an expert changes."""
    assert expert.form is not None
    return frozenset(module_sizes(expert.form))


def _with_scaling(expert: Adapter) -> tuple[object, float]:
    """Scale the factors themselves, since GenAI has one scaling for all modules of an adapter."""
    expert = plain(expert)
    assert expert.form is not None
    return _adapter(expert.form.tensors(expert.vector)), expert.form.scaling("")


def _adapter(tensors: Mapping[str, Vector]) -> genai.Adapter:
    return genai.Adapter(ov.Tensor(np.frombuffer(save(dict(tensors)), dtype=np.uint8)))


def _dtype(name: str) -> Any:
    """bfloat16 where the processor multiplies in it, else float32."""
    if name != "auto":
        return name
    return "bfloat16" if "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "float32"
