"""A base's tokenizer and chat template: the same token ids for every local engine."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hswarm.engines.base import Completion, Likelihoods, Request
from hswarm.errors import MissingExtra, PoolError
from hswarm.experts.expert import Expert
from hswarm.experts.file_digest import file_digest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SWITCHES = ("enable_thinking", "thinking")  # of templates: Qwen 3, GLM, SmolLM3; DeepSeek 3.1, Granite
_PROBE = "3 + 4 ="


class Chat:
    """Prompts to token ids and back, for the base in `folder`. PoolError if it has no chat template."""

    def __init__(self, folder: Path, base: str) -> None:
        try:
            from transformers.utils import logging
        except ImportError as missing:
            raise MissingExtra("a base's tokenizer", "cpu", "gpu") from missing
        logging.set_verbosity_error()  # its warnings do not concern whoever runs a search
        logging.disable_progress_bar()
        self.tokenizer = _tokenizer(folder)
        if self.tokenizer.chat_template is None:
            raise PoolError(f"base '{base}' has no chat template; choose an instruction-tuned base")
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        config = _text_config(folder)
        self.context: float = config.get("max_position_embeddings") or math.inf  # tokens, prompt and reply
        ends = config.get("eos_token_id")
        if (folder / "generation_config.json").is_file():
            ends = json.loads((folder / "generation_config.json").read_text("utf-8")).get("eos_token_id")
        listed = ends if isinstance(ends, list) else [ends]
        if strange := [end for end in listed if end is not None and not isinstance(end, int)]:
            raise PoolError(
                f"base '{base}': eos_token_id must be whole numbers, got {strange[0]!r}; correct its config"
            )
        self.stops = self._stops(listed)
        try:
            self._check_template(base)
        except PoolError:
            raise
        except Exception as fault:  # a template is third-party code, run by transformers in Jinja's sandbox
            raise PoolError(
                f"base '{base}': its chat template cannot be used ({type(fault).__name__}: {fault}); "
                "take the base from its authors again"
            ) from fault

    def _stops(self, listed: Sequence[int | None]) -> frozenset[int]:
        """The tokens that end a reply: `listed` ones, those of tokenizer and template, padding if it is distinct."""
        others = (self.tokenizer.unk_token_id, self.tokenizer.bos_token_id)
        more = [token for token in (self.tokenizer.pad_token_id, self._end_of_turn()) if token not in others]
        found = [*listed, self.tokenizer.eos_token_id, *more]
        return frozenset(token for token in found if token is not None)

    def _end_of_turn(self) -> int | None:
        """The control token that the template writes after a reply: some bases name it nowhere else, and would go on
        with a next turn."""
        turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "reply"}]
        try:
            text = str(self.tokenizer.apply_chat_template(turns, tokenize=False))
        except Exception:  # templates raise anything; what they cannot do is found by _check_template
            return None
        ids: list[int] = self.tokenizer(text.rpartition("reply")[2].lstrip(), add_special_tokens=False)["input_ids"]
        return ids[0] if ids and ids[0] in self.tokenizer.added_tokens_decoder else None

    def _check_template(self, base: str) -> None:
        """PoolError unless the template holds the prompt, and the tokenizer reads each of its control tokens as one."""
        (chat,), (ids,) = self._chats([_PROBE], False), self.encode([_PROBE])
        if _PROBE not in chat:
            raise PoolError(
                f"base '{base}': its chat template leaves out the user's message; take the base from its authors again"
            )
        for text, token in zip(self.tokenizer.all_special_tokens, self.tokenizer.all_special_ids, strict=True):
            if ids.count(token) < chat.count(text):
                raise PoolError(
                    f"base '{base}': its chat template writes {text!r}, which its tokenizer splits into pieces; "
                    "take the base from its authors again"
                )

    def _chats(self, prompts: Sequence[str], thinking: bool) -> list[str]:
        return [chat_text(self.tokenizer, [{"role": "user", "content": prompt}], thinking) for prompt in prompts]

    def encode(self, prompts: Sequence[str], thinking: bool = False) -> list[list[int]]:
        """Token ids of each prompt as a user's message, ready for the reply; one template, one BOS."""
        chats = self._chats(prompts, thinking)
        ids: list[list[int]] = self.tokenizer(chats, add_special_tokens=False)["input_ids"]
        return ids

    def answer(
        self, requests: Sequence[Request], reply: Callable[[list[int], list[list[int]]], list[Completion]]
    ) -> list[Completion]:
        """One completion for each request; empty and cut off where the base's context leaves no room for one.

        `reply(places, prompts)` makes the others, from their positions in `requests` and their token ids.
        """
        prompts = self.encode([request.prompt for request in requests], requests[0].sampling.thinking)
        made = [Completion("", "length", len(prompt), 0) for prompt in prompts]
        if places := [i for i, prompt in enumerate(prompts) if len(prompt) < self.context]:
            replies = reply(places, [prompts[i] for i in places])
            for i, completion in zip(places, replies, strict=True):
                made[i] = completion
        return made

    def endings(self, request: Request) -> tuple[list[int], list[list[int]]]:
        """Token ids of the prompt of `request` and of its endings, each by itself; none of these if the base's context
        has no room for them."""
        if not isinstance(request.expert, Expert):
            raise PoolError(
                f"'{request.expert.name}' is a fusion, which gives no likelihoods; leave sampling.choose empty"
            )
        (prompt,) = self.encode([request.prompt], request.sampling.thinking)
        endings: list[list[int]] = self.tokenizer(request.endings, add_special_tokens=False)["input_ids"]
        return prompt, endings if len(prompt) + max(map(len, endings)) <= self.context else []

    def likelihoods(
        self, request: Request, of_endings: Callable[[Expert, list[int], list[list[int]]], list[float]]
    ) -> Likelihoods:
        """How likely the endings of `request` are by `of_endings(expert, prompt, endings)`."""
        prompt, endings = self.endings(request)
        assert isinstance(request.expert, Expert)
        return Likelihoods(of_endings(request.expert, prompt, endings) if endings else [], len(prompt))

    def completion(self, tokens: Sequence[int], prompt_tokens: int) -> Completion:
        """The reply in `tokens`, which end at a stop token or are cut off."""
        length = next((i for i, token in enumerate(tokens) if token in self.stops), None)
        text = self.tokenizer.decode(tokens[:length], skip_special_tokens=True).strip()
        if length is None:
            return Completion(text, "length", prompt_tokens, len(tokens))
        return Completion(text, "stop", prompt_tokens, length + 1)


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`. AutoTokenizer's module imports torch, for seconds, and the usual class needs none."""
    from transformers import PreTrainedTokenizerFast

    file, usual = folder / "tokenizer_config.json", PreTrainedTokenizerFast.__name__
    made: PreTrainedTokenizerBase
    if file.is_file() and json.loads(file.read_text("utf-8")).get("tokenizer_class") == usual:
        made = PreTrainedTokenizerFast.from_pretrained(folder, trust_remote_code=False)
        return made
    from transformers import AutoTokenizer

    made = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    return made


def _text_config(folder: Path) -> Mapping[str, Any]:
    """The language model's config.json; by transformers, which knows what is left out, if that is needed here."""
    content = json.loads((folder / "config.json").read_text("utf-8"))
    text: dict[str, Any] = content.get("text_config", content)
    if {"max_position_embeddings", "eos_token_id"} <= text.keys():
        return text
    from transformers import AutoConfig

    whole: dict[str, Any] = AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config().to_dict()
    return whole


def chat_text(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, str]], thinking: bool = False) -> str:
    """`messages` (role, content) in the tokenizer's chat template, ready for the reply.

    If the template has no system role, such a message is put before the first user message. `thinking` has an effect if
    the template has one of the switches.
    """
    options = {switch: thinking for switch in _SWITCHES if switch in str(tokenizer.chat_template)}

    def render(turns: Sequence[Mapping[str, str]]) -> str:
        return str(tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=True, **options))

    if len(messages) < 2 or messages[0]["role"] != "system":
        return render(messages)
    first, second, *rest = messages
    try:
        text = render(messages)
    except Exception:  # templates raise anything about a role that they do not know
        text = ""
    if first["content"].strip() in text and text:
        return text
    folded = {**second, "content": f"{first['content']}\n\n{second['content']}"}
    return render([folded, *rest])


def seed_of(requests: Sequence[Request]) -> int:
    """The seed of a sampled batch: a function of its requests alone."""
    text = "\0".join(f"{request.sampling.text()}{request.prompt}" for request in requests)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


def digest_of(folder: Path) -> str:
    """A hash over names and contents of all files of a base that replies depend on."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".json", ".jinja", ".safetensors", ".model"}:
            whole.update(path.name.encode() + file_digest(path))
    return whole.hexdigest()[:16]
