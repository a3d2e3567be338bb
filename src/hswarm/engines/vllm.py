"""The engine on vLLM: many experts in one batch on a GPU, each request with its own LoRA adapter.

vLLM identifies adapters by an integer and cached blocks by the adapter's name and path. A name reused with
other weights would continue from the old keys and values, so it contains the expert's digest, and the integer is
never reused. Adapters are files while they are in use; older ones are deleted, and vLLM drops them too.
On a CPU a batch holds one expert, since adapters mixed in a batch were slow there. Run on vLLM's CPU build only, not on
a GPU yet: docs/adding-an-engine.md.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hswarm.engines.base import (
    Completion,
    EngineSettings,
    Likelihoods,
    Request,
    answer_by_batches,
    engine,
    group_batches,
)
from hswarm.engines.chat import Chat, digest_of, seed_of
from hswarm.errors import ConfigError, MissingExtra, PoolError
from hswarm.experts import shards
from hswarm.experts.adapter import Adapter
from hswarm.experts.base import find_base
from hswarm.experts.blend import plain
from hswarm.experts.compatibility import check_adapters
from hswarm.experts.expert import Expert, Node

# With the scheduler in this process, its steps, and so the shapes of batches, depend on the requests alone.
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")  # GiB

try:
    import torch
    import vllm
    from vllm.lora.request import LoRARequest
    from vllm.platforms import current_platform
except ImportError as missing:
    raise MissingExtra("engine 'vllm'", "vllm") from missing

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # vLLM makes room for adapters in these sizes only
_HELD = 32  # experts in main memory and as files; at most as many in one step on a GPU
_SHARE = 0.1  # of a GPU's memory, for the experts of a step
_RUNNING = 256  # requests at once on a GPU, whose memory vLLM allocates itself


@engine(
    "vllm", "vLLM, many experts in one batch on a GPU", paper="https://github.com/vllm-project/vllm", extras=("vllm",)
)
class VLLMEngine:
    """Greedy or sampled replies of one causal language model under many LoRA experts."""

    def __init__(self, settings: EngineSettings, base: str) -> None:
        settings.refuse_int8()
        self._device = str(current_platform.device_type)
        if not self._device:
            raise ConfigError(
                ["engine 'vllm' finds no device: its CUDA build needs a GPU; set engine.name = 'transformers'"]
            )
        if settings.device not in ("auto", self._device):
            raise ConfigError(
                [
                    f"engine 'vllm' runs on '{self._device}' as installed here, got engine.device = "
                    f"'{settings.device}'; say \"auto\", and which GPUs by engine.devices"
                ]
            )
        self._folder, self._base, self._settings = find_base(base), base, settings
        self._chat = Chat(self._folder, base)
        best = str(current_platform.supported_dtypes[0]).removeprefix("torch.")
        self._dtype = best if settings.dtype == "auto" else settings.dtype
        self._linears = {
            name.removesuffix(".weight"): list(stored.shape)
            for name, stored in shards.tensors_in(self._folder).items()
            if name.endswith(".weight")
        }
        self._adapters = Adapters()
        self._rank = self._batch = 0
        self._llm: Any = None
        self._fingerprint = "/".join(
            ["vllm", vllm.__version__, torch.__version__, self._dtype, self._device, digest_of(self._folder)]
        )

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def check(self, experts: Sequence[Expert]) -> None:
        self._fitting(experts)

    def _fitting(self, experts: Sequence[Node]) -> list[Adapter]:
        adapters = check_adapters(experts, self._linears, self._base, "vllm")
        for expert in adapters:
            assert expert.form is not None
            if expert.form.rank > _RANKS[-1]:
                raise PoolError(
                    f"expert '{expert.name}' has rank {expert.form.rank}, vLLM takes at most "
                    f"{_RANKS[-1]}; set engine.name = 'transformers'"
                )
        self._rank = max([self._rank, *map(_room, adapters)])
        return adapters

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        """On a GPU one batch, ordered by expert and then by prefix; on a CPU one expert a batch."""
        size = self._settings.usual_batch() if self._device == "cpu" else max(1, len(requests))
        grouped = group_batches(requests, size, lambda request: request.prompt)
        return grouped if self._device == "cpu" or not grouped else [[i for batch in grouped for i in batch]]

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        return answer_by_batches(
            self.batches(requests), requests, lambda batch: self._reply([requests[i] for i in batch])
        )

    def _reply(self, requests: Sequence[Request]) -> list[Completion]:
        """Completions of one batch."""
        experts = self._open([request.expert for request in requests])
        self._batch += 1

        def reply(places: list[int], prompts: list[list[int]]) -> list[Completion]:
            samplings = [self._sampling(requests[i]) for i in places]
            outputs = self._run(prompts, samplings, [experts[i] for i in places])
            return [
                self._chat.completion(output.outputs[0].token_ids, len(prompt))
                for output, prompt in zip(outputs, prompts, strict=True)
            ]

        return self._chat.answer(requests, reply)

    def loglikelihood(self, requests: Sequence[Request]) -> list[Likelihoods]:
        """A request of its own for each token of an ending, with what goes before it as the prompt.

        Only that token may be drawn, and vLLM tells its log-probability before this limit. It would tell those of a
        whole prompt too, but not with an adapter (0.32, CPU).
        """
        return [self._chat.likelihoods(request, self._of_endings) for request in requests]

    def _of_endings(self, expert: Expert, prompt: list[int], endings: list[list[int]]) -> list[float]:
        adapters = self._open([expert])
        self._batch += 1
        steps = [([*prompt, *ending[:k]], token) for ending in endings for k, token in enumerate(ending)]
        outputs = self._run([read for read, _ in steps], [_only(token) for _, token in steps], adapters * len(steps))
        pairs = zip(outputs, steps, strict=True)
        logs = iter([float(output.outputs[0].logprobs[0][token].logprob) for output, (_, token) in pairs])
        return [sum(next(logs) for _ in ending) for ending in endings]

    def _run(self, prompts: list[list[int]], samplings: list[object], experts: list[Adapter]) -> Any:
        """What vLLM makes of the token ids in `prompts`, each with its sampling and its expert.

        A block is found again under its tokens, its expert and the salt: one a batch, unless the cache is the run's.
        """
        salt = {"cache_salt": str(self._batch)} if self._settings.prefix_cache != "run" else {}
        try:
            return self._llm.generate(
                [{"prompt_token_ids": prompt, **salt} for prompt in prompts],
                samplings,
                lora_request=self._adapters.requests(experts),
                use_tqdm=False,
            )
        except BaseException:
            self._llm = None  # its unfinished requests would be mixed with the next batch
            raise

    def _sampling(self, request: Request) -> object:
        """The reply ends only at the base's stop tokens, as with the other engines."""
        sampling = request.sampling
        drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": seed_of([request])}
        return vllm.SamplingParams(
            max_tokens=sampling.max_new_tokens,
            stop_token_ids=sorted(self._chat.stops),
            ignore_eos=True,
            detokenize=False,
            **(drawn if sampling.temperature > 0 else {"temperature": 0.0}),
        )

    def _open(self, experts: Sequence[Node]) -> list[Adapter]:
        """Load the model, again if one of `experts` has a higher rank than it was loaded for; returns them."""
        room = self._rank
        adapters = self._fitting(experts)
        if self._llm is not None and self._rank == room:
            return adapters
        self._llm = None
        gc.collect()  # vLLM's state is global: an old model collected later would destroy the new one's
        on_cpu = self._device == "cpu"
        self._llm = vllm.LLM(
            model=str(self._folder),
            dtype=self._dtype,
            skip_tokenizer_init=True,
            generation_config="vllm",
            enable_prefix_caching=True,
            enable_lora=True,
            max_lora_rank=self._rank,
            max_loras=1 if on_cpu else self._mixed(int(current_platform.get_device_total_memory())),
            max_cpu_loras=_HELD,
            max_num_seqs=self._settings.usual_batch() if on_cpu else max(_RUNNING, self._settings.usual_batch()),
            enforce_eager=on_cpu,
            disable_log_stats=True,
        )
        self._chat.context = self._llm.model_config.max_model_len
        return adapters

    def _mixed(self, memory: int) -> int:
        """Experts in one step on a GPU of `memory` bytes: vLLM makes room for both factors of every linear layer."""
        size = 4 if self._dtype == "float32" else 2
        room = sum(sum(shape) for shape in self._linears.values()) * self._rank * size
        return max(1, min(_HELD, int(memory * _SHARE) // room))


class Adapters:
    """Experts as vLLM reads them: files in PEFT's format, with a name and an integer that are never reused."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hswarm-")
        self._numbers: dict[str, int] = {}
        self._written: OrderedDict[str, Path] = OrderedDict()

    def requests(self, experts: Sequence[Adapter]) -> list[LoRARequest]:
        """A LoRARequest for each of `experts`, all on disk; of the others only the most recently used remain."""
        for expert in {expert.digest: expert for expert in experts}.values():
            if expert.digest not in self._written:
                folder = Path(self._folder.name) / expert.digest
                plain(expert).write(folder)
                config = folder / "adapter_config.json"  # vLLM refuses a `bias` even where the base has no biases
                config.write_text(json.dumps({**json.loads(config.read_text("utf-8")), "bias": "none"}), "utf-8")
                self._written[expert.digest] = folder
            self._written.move_to_end(expert.digest)
        asked = len({expert.digest for expert in experts})
        while len(self._written) > max(_HELD, asked):
            shutil.rmtree(self._written.popitem(last=False)[1])
        return [self._request(expert.digest) for expert in experts]

    def _request(self, digest: str) -> object:
        number = self._numbers.setdefault(digest, len(self._numbers) + 1)
        return LoRARequest(digest, number, str(self._written[digest]))


def _only(token: int) -> object:
    """The one token that may be drawn, with its log-probability."""
    return vllm.SamplingParams(max_tokens=1, temperature=0.0, allowed_token_ids=[token], logprobs=0, detokenize=False)


def _room(expert: Adapter) -> int:
    """The rank that vLLM must allocate for."""
    assert expert.form is not None
    return next(rank for rank in _RANKS if rank >= expert.form.rank)
