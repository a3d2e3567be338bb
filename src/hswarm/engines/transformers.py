"""The engine on Hugging Face transformers: CPU, CUDA, MPS. The base is loaded once.

LoRA on linear layers stands beside the weights (engines/grouped_lora.py), so one batch holds many such experts. Every
other change (DoRA, embeddings, biases, norms, trained tokens) is written into the weights, whose own values are kept,
and has batches of its own. Prompts are sorted by length to save padding, and the prefix that a batch shares is computed
once for each of its experts. A whole checkpoint is loaded in place tensor by tensor, so that no second model is in
memory. A fusion's parts take turns at each token. What was measured on a GPU: docs/gpu.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from itertools import groupby, takewhile
from typing import TYPE_CHECKING

import numpy as np

from hswarm.engines.base import (
    Completion,
    EngineSettings,
    Likelihoods,
    Request,
    answer_by_batches,
    engine,
    mixed_batches,
)
from hswarm.engines.chat import Chat, digest_of, seed_of
from hswarm.engines.select import fastest_device
from hswarm.errors import ConfigError, MissingExtra, PoolError
from hswarm.experts import shards
from hswarm.experts.adapter import Adapter
from hswarm.experts.base import find_base, load_model
from hswarm.experts.blend import SUMMABLE, module_sizes
from hswarm.experts.checkpoint import Checkpoint
from hswarm.experts.expert import Expert
from hswarm.experts.form import Vector
from hswarm.experts.fusion import Callee, Fusion
from hswarm.experts.weight_change import LowRank, Replaced, ReplacedRows, WeightChange, weight_changes

if TYPE_CHECKING:
    from llguidance import LLTokenizer
    from transformers import PreTrainedModel

try:
    import torch
    from transformers import DynamicCache, LogitsProcessorList

    from hswarm.engines.grouped_lora import GroupedLora
    from hswarm.engines.logits import JsonMask, Recorder, guided
    from hswarm.engines.memory import batch_size, free_memory, prompt_bytes
    from hswarm.engines.token_ensemble import FusedReply
except ImportError as missing:
    raise MissingExtra("engine 'transformers'", "cpu", "gpu") from missing

_UNFINISHED = "unfinished"  # an interrupted change of the weights must not look finished


@engine(
    "transformers",
    "Hugging Face transformers, on a CPU or a GPU; whole checkpoints too",
    paper="https://github.com/huggingface/transformers",
    extras=("cpu", "gpu"),
)
class TransformersEngine:
    """Greedy or sampled replies of one causal language model under many LoRA experts."""

    def __init__(self, settings: EngineSettings, base: str) -> None:
        settings.refuse_int8()
        folder, self._base = find_base(base), base
        self._folder, self._replaced = folder, False
        self._fits, self._usual = settings.batch == "auto", settings.usual_batch()
        self._device = torch.device(_device(settings.device))
        self._dtype = _dtype(settings.dtype, self._device)
        self._chat = Chat(folder, base)
        self._model: PreTrainedModel = load_model(folder, base, self._dtype).to(self._device)
        self._lora = GroupedLora(self._model)
        self._own: dict[str, torch.Tensor] = {}  # the base's weights wherever an expert has written others
        pair = (self._model.get_input_embeddings(), self._model.get_output_embeddings())
        shared = pair[1] is not None and pair[0].weight is pair[1].weight
        self._tied = {name for name, held in self._weights().items() if shared and held is pair[0].weight}
        self._untied = False
        self._written = ""  # the expert whose changes are in the weights; "": none but the base's own
        dtype = str(self._dtype).removeprefix("torch.")
        self._fingerprint = "/".join(
            [
                "transformers-2",
                version("transformers"),
                version("torch"),
                dtype,
                self._device.type,
                digest_of(folder),
            ]
        )

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def check(self, experts: Sequence[Expert]) -> None:
        shapes = {name: tuple(weight.shape) for name, weight in self._weights().items()}
        for expert in experts:
            if isinstance(expert, Checkpoint):
                self._check_layout(expert)
                continue
            for name, change in changes_of(expert).items():
                found = shapes.get(name)
                if found is None or not change.fits(found):
                    raise PoolError(
                        f"expert '{expert.name}' changes {name} of shape {change.shape}, the base {self._base} "
                        f"has {found or 'no such weight'}; it belongs to another base"
                    )

    def _weights(self) -> dict[str, torch.Tensor]:
        """The model's parameters by all their names: tied ones have two."""
        return dict(self._model.named_parameters(remove_duplicate=False))

    def _check_layout(self, expert: Checkpoint) -> None:
        """PoolError unless every tensor has its place in the model, and every weight of the model is set."""
        self._tie_again()
        held = self._model.state_dict()
        for name, _, shape in expert.layout.tensors:
            found = tuple(held[name].shape) if name in held else "no such weight"
            if found != shape:
                raise PoolError(
                    f"expert '{expert.name}' has {name} of shape {shape}, transformers' model has {found}; "
                    "load it and save it again with transformers (save_pretrained)"
                )
        covered = {held[name].data_ptr() for name, _, _ in expert.layout.tensors}
        if missing := [name for name, weight in held.items() if weight.data_ptr() not in covered]:
            raise PoolError(
                f"expert '{expert.name}' has no {missing[0]} ({len(missing)} weights of the model are "
                "missing); copy or download it again"
            )

    def offers(self, expert: Callee) -> frozenset[str]:
        """A fusion draws from a mean of its parts' distributions, by a loop of its own, which offers neither."""
        if isinstance(expert, Fusion):
            return frozenset()
        return frozenset({"logprobs", "json"} if self._guided else {"logprobs"})

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        """One sampling a batch, the longest prompts first; experts that stand beside the weights share one."""
        size = self._fitting(requests) if self._fits else self._usual
        return mixed_batches(requests, size, lambda request: (-len(request.prompt), request.prompt), self._is_beside)

    def _fitting(self, requests: Sequence[Request]) -> int:
        """How many of `requests` fit into memory at once, each as long as the longest."""
        if not requests:
            return 1
        longest = max((request.prompt for request in requests), key=len)
        length = int(min(len(self._chat.encode([longest])[0]), self._chat.context))
        reply = max(request.sampling.max_new_tokens for request in requests)
        return batch_size(self._free, prompt_bytes(self._model.config, self._dtype, length, reply))

    @cached_property
    def _free(self) -> int:
        """Bytes that were free when the first batches were made, so that equal requests always have equal batches."""
        return free_memory(self._device)

    def _is_beside(self, expert: Callee) -> bool:
        """Whether `expert` can stand beside the weights in a batch with others."""
        if not isinstance(expert, Adapter) or not self._is_plain(expert):
            return False
        assert expert.form is not None
        return module_sizes(expert.form).keys() <= self._lora.by_row

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        return self._answer(requests, None)

    def loglikelihood(self, requests: Sequence[Request]) -> list[Likelihoods]:
        """A request's prompt is read once, and its endings after it in one batch."""

        def of_endings(expert: Expert, prompt: list[int], endings: list[list[int]]) -> list[float]:
            self._put([expert])
            return self._of_endings(prompt, endings)

        return [self._chat.likelihoods(request, of_endings) for request in requests]

    def _of_endings(self, prompt: list[int], endings: list[list[int]]) -> list[float]:
        longest, pad = max(map(len, endings)), self._chat.tokenizer.pad_token_id
        cache = DynamicCache(config=self._model.config)
        with torch.inference_mode():
            read = self._model(input_ids=self._tensor([prompt]), past_key_values=cache, logits_to_keep=1).logits
            first = torch.log_softmax(read[0, -1].float(), -1)
            logs = [float(first[ending[0]]) for ending in endings]
            if longest == 1:
                return logs
            cache.batch_repeat_interleave(len(endings))
            gaps = [longest - len(ending) for ending in endings]
            ids = [[*ending[:-1], *[pad] * gap] for ending, gap in zip(endings, gaps, strict=True)]
            mask = [[1] * (len(prompt) + longest - 1 - gap) + [0] * gap for gap in gaps]
            more = self._model(
                input_ids=self._tensor(ids), attention_mask=self._tensor(mask), past_key_values=cache
            ).logits
        later = torch.log_softmax(more.float(), -1)
        return [
            log + sum(float(row[i, token]) for i, token in enumerate(ending[1:]))
            for log, row, ending in zip(logs, later, endings, strict=True)
        ]

    def stream(self, requests: Sequence[Request], tell: Callable[[int, str], None]) -> list[Completion]:
        return self._answer(requests, tell)

    def _answer(self, requests: Sequence[Request], tell: Callable[[int, str], None] | None) -> list[Completion]:
        return answer_by_batches(self.batches(requests), requests, lambda batch: self._batch_of(requests, batch, tell))

    def _batch_of(
        self, requests: Sequence[Request], batch: list[int], tell: Callable[[int, str], None] | None
    ) -> list[Completion]:
        write = self._fused if isinstance(requests[batch[0]].expert, Fusion) else self._reply

        def reply(places: list[int], prompts: list[list[int]]) -> list[Completion]:
            kept = [batch[place] for place in places]
            streamer = _Streamer(kept, self._chat.completion, tell) if tell else None
            return write([requests[i] for i in kept], prompts, streamer)

        return self._chat.answer([requests[i] for i in batch], reply)

    def _reply(
        self, requests: Sequence[Request], prompts: list[list[int]], streamer: _Streamer | None
    ) -> list[Completion]:
        sampling = requests[0].sampling
        experts = [request.expert for request in requests]
        self._put(experts)
        options: dict[str, object] = {
            "do_sample": sampling.temperature > 0,
            "temperature": None,
            "top_p": None,
            "streamer": streamer,
        }
        if sampling.temperature > 0:
            options |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
        recorder, masks = self._recorder(requests), self._json_masks(requests)
        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(seed_of(requests))
            output = self._model.generate(
                **self._inputs(prompts, experts),
                max_new_tokens=sampling.max_new_tokens,
                top_k=None,
                pad_token_id=self._chat.tokenizer.pad_token_id,
                eos_token_id=sorted(self._chat.stops),
                logits_processor=LogitsProcessorList([*recorder, *masks]),
                **options,
            )
        new = output[:, max(map(len, prompts)) :].tolist()
        made = [self._chat.completion(tokens, len(prompt)) for tokens, prompt in zip(new, prompts, strict=True)]
        for one in recorder:
            noted = zip(made, one.finish(output), strict=True)
            # without the token that ends a reply, and what pads it
            made = [replace(c, logprobs=tuple(n[: c.completion_tokens - (c.finish == "stop")])) for c, n in noted]
        return made

    def _recorder(self, requests: Sequence[Request]) -> list[Recorder]:
        """What notes log-probabilities, if a request asks for them."""
        most = [request.output.logprobs for request in requests]
        return [Recorder(most, self._chat.tokenizer.decode)] if any(one is not None for one in most) else []

    def _json_masks(self, requests: Sequence[Request]) -> list[JsonMask]:
        """What keeps replies in JSON, if a request asks for it."""
        rows = [request.output.json for request in requests]
        if not any(rows):
            return []
        assert self._guided, "asked for JSON, which is not offered"
        return [JsonMask(rows, self._guided, sorted(self._chat.stops))]

    @cached_property
    def _guided(self) -> LLTokenizer | None:
        vocabulary = self._model.get_output_embeddings().weight.shape[0]
        return guided(self._chat.tokenizer, vocabulary, sorted(self._chat.stops))

    def _fused(
        self, requests: Sequence[Request], prompts: list[list[int]], streamer: _Streamer | None
    ) -> list[Completion]:
        fusion, sampling = requests[0].expert, requests[0].sampling
        assert isinstance(fusion, Fusion)
        longest, pad = max(map(len, prompts)), self._chat.tokenizer.pad_token_id
        ids = self._tensor([[pad] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask = self._tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(seed_of(requests))
            reply = FusedReply(self._model, lambda part: self._put([part]), fusion, ids, mask)
            new = reply.write(sampling, self._chat.stops, streamer)
        replies = [self._chat.completion(tokens, len(prompt)) for tokens, prompt in zip(new, prompts, strict=True)]
        calls = len(fusion.parts)  # each part reads and writes all of it
        return [
            replace(reply, prompt_tokens=calls * reply.prompt_tokens, completion_tokens=calls * reply.completion_tokens)
            for reply in replies
        ]

    def _inputs(self, prompts: Sequence[Sequence[int]], experts: Sequence[Callee]) -> dict[str, object]:
        """The input of `generate`: rows of equal length; what all prompts begin with is computed once an expert."""
        columns = zip(*(prompt[:-1] for prompt in prompts), strict=False)
        shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
        longest = max(map(len, prompts))
        gaps = [longest - len(prompt) for prompt in prompts]  # padding goes between the shared prefix and the rest
        pad = self._chat.tokenizer.pad_token_id
        ids = [[*p[:shared], *[pad] * gap, *p[shared:]] for p, gap in zip(prompts, gaps, strict=True)]
        mask = [[1] * shared + [0] * gap + [1] * (longest - shared - gap) for gap in gaps]
        rows = self._tensor(ids)
        inputs: dict[str, object] = {"input_ids": rows, "attention_mask": self._tensor(mask)}
        if len(prompts) > 1 and shared:
            cache = DynamicCache(config=self._model.config)
            of_expert = {expert.digest: expert for expert in experts}
            self._put(list(of_expert.values()))
            self._model(
                input_ids=rows[: len(of_expert), :shared],
                past_key_values=cache,
                logits_to_keep=1,
            )
            places = {digest: k for k, digest in enumerate(of_expert)}
            cache.batch_select_indices(torch.tensor([places[e.digest] for e in experts], device=self._device))
            self._put(experts)
            inputs["past_key_values"] = cache
        return inputs

    def _tensor(self, rows: list[list[int]]) -> torch.Tensor:
        return torch.tensor(rows, device=self._device)

    def _put(self, experts: Sequence[Callee]) -> None:
        """Set the model for a batch whose rows have these `experts`, equal ones side by side; one is for any rows."""
        groups = [list(run) for _, run in groupby(experts, lambda expert: expert.digest)]
        first = groups[0][0]
        if isinstance(first, Checkpoint):
            self._load(first)
            self._lora.put((), ())
            return
        if self._written != ("" if self._is_plain(first) else first.digest):
            self._write(first)
        for expert, *_ in groups:
            if not self._lora.has(expert.digest):
                self._lora.keep(expert.digest, self._split(expert)[0])
        self._lora.put([group[0].digest for group in groups], [len(group) for group in groups])

    def _is_plain(self, expert: Callee) -> bool:
        """Whether `expert` is LoRA on linear layers alone; reads no weights."""
        form = expert.form if isinstance(expert, Adapter) else None
        return form is not None and form.kinds <= SUMMABLE and all(map(self._lora.takes, module_sizes(form)))

    def _split(self, expert: Callee) -> tuple[dict[str, LowRank], dict[str, WeightChange]]:
        """The changes that stand beside the weights, and those that are written into them, by weight."""
        beside: dict[str, LowRank] = {}
        written: dict[str, WeightChange] = {}
        for name, change in changes_of(expert).items():
            if isinstance(change, LowRank) and change.magnitude is None and self._lora.takes(name):
                beside[name] = change
            else:
                written[name] = change
        return beside, written

    def _load(self, expert: Checkpoint) -> None:
        """The weights of a whole checkpoint in place of the base's."""
        if expert.digest == self._written:
            return
        self._written = _UNFINISHED
        self._replaced = True
        self._tie_again()
        self._replace(expert.tensors())
        self._written = expert.digest

    def _write(self, expert: Callee) -> None:
        """The base's own weights, but for those changes of `expert` that do not stand beside them."""
        self._written = _UNFINISHED
        if self._replaced:
            found = shards.tensors_in(self._folder).items()
            self._replace((name, stored.kind, stored.whole()) for name, stored in found)
            self._replaced = False
        changes = self._split(expert)[1]
        if not self._untied and changes.keys() & self._tied:
            self._untie()
        if self._untied and (both := [change for name, change in changes.items() if isinstance(change, ReplacedRows)]):
            changes |= dict.fromkeys(self._tied, both[0])  # PEFT too has tied weights share trained tokens
        weights = self._weights()
        with torch.inference_mode():
            for name in {*changes, *self._own}:
                weight = weights[name].data
                own = self._own.setdefault(name, weight.clone())
                weight.copy_(self._changed(own, changes[name]) if name in changes else own)
        self._written = "" if self._is_plain(expert) else expert.digest

    def _changed(self, own: torch.Tensor, change: WeightChange) -> torch.Tensor:
        """The weight that `change` makes of the base's `own`, computed in float32."""
        if isinstance(change, Replaced):
            return self._floats(change.values)
        if isinstance(change, ReplacedRows):
            rows = own.float().clone()
            rows[change.indices] = self._floats(change.values)
            return rows
        down, up = self._floats(change.down), self._floats(change.up)
        weight = torch.addmm(own.float(), up, down, alpha=change.scaling)
        if change.magnitude is None:
            return weight
        axis = 0 if change.embeddings else 1
        norm: torch.Tensor = torch.linalg.norm(weight, dim=axis)
        return weight * (self._floats(change.magnitude) / norm).unsqueeze(axis)

    def _floats(self, values: Vector) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)

    def _untie(self) -> None:
        """Untie output and input embeddings that share a weight, when an adapter changes one of them."""
        head = self._model.get_output_embeddings()
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
        self._untied = True

    def _tie_again(self) -> None:
        if self._untied:
            self._model.tie_weights()
            self._untied = False
            self._own = {name: own for name, own in self._own.items() if name not in self._tied}

    def _replace(self, tensors: Iterable[tuple[str, str, shards.Array]]) -> None:
        """Set the model's weights: name, number format and values as stored."""
        held = self._model.state_dict()
        with torch.inference_mode():
            for name, kind, values in tensors:
                stored = torch.from_numpy(values.view("int16") if kind == "BF16" else values)
                held[name].copy_(stored.view(torch.bfloat16) if kind == "BF16" else stored)


class _Streamer:
    """A streamer for `generate`: turns each step's tokens, one a row, into the row's reply so far."""

    def __init__(
        self, places: Sequence[int], read: Callable[[list[int], int], Completion], tell: Callable[[int, str], None]
    ) -> None:
        self._places, self._read, self._tell = places, read, tell
        self._tokens: list[list[int]] = [[] for _ in places]
        self._said = [""] * len(places)

    def put(self, value: torch.Tensor) -> None:
        """A step's tokens, shape (rows,); the first call has the prompts, shape (rows, length), and is ignored."""
        if value.dim() > 1:
            return
        for row, token in enumerate(value.tolist()):
            self._tokens[row].append(token)
            text = self._read(self._tokens[row], 0).text
            # An unfinished character decodes to U+FFFD until its last token is there.
            if len(text) > len(self._said[row]) and not text.endswith("\ufffd"):
                self._said[row] = text
                self._tell(self._places[row], text)

    def end(self) -> None:
        """Nothing to do at the end of generation."""


def changes_of(expert: Callee) -> dict[str, WeightChange]:
    """Base parameter name -> its change by the adapter `expert`."""
    if not isinstance(expert, Adapter) or expert.form is None:
        what = (
            "a whole checkpoint, which only the transformers engine supports"
            if isinstance(expert, Checkpoint)
            else ("a bare vector; only the toy engine reads those")
        )
        raise PoolError(f"expert '{expert.name}' is {what}")
    return weight_changes(expert)


def _device(name: str) -> str:
    if name != "auto":
        try:
            torch.empty(1, device=name)
        except (RuntimeError, AssertionError, NotImplementedError) as fault:  # which one depends on the build
            reason = re.split(r"\n|\.\s|\.$", str(fault))[0]
            there = f"'{fastest_device()}' is" + ("" if reason.startswith("Could not run") else f" ({reason})")
            raise ConfigError(
                [f"engine.device = '{name}' is not on this machine, {there}; set engine.device = 'auto'"]
            ) from fault
        return name
    return fastest_device()


def _dtype(name: str, device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies in it, else float32."""
    if name != "auto":
        found: torch.dtype = getattr(torch, name)
        return found
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.bfloat16
    return torch.float32
