"""A base's tokenizer and chat template: the same token ids for every engine that runs on this machine."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hswarm.engines.base import Completion, Request
from hswarm.errors import MissingExtra, PoolError


class Chat:
    """Prompts to token ids and back, as the base in `folder` wants them. PoolError if it has no chat template."""

    def __init__(self, folder: Path, base: str) -> None:
        try:
            from transformers import AutoConfig, AutoTokenizer, GenerationConfig
            from transformers.utils import logging
        except ImportError as missing:
            raise MissingExtra("a base's tokenizer", "transformers") from missing
        logging.set_verbosity_error()  # what it warns of is no matter of whoever runs a search
        logging.disable_progress_bar()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        if self.tokenizer.chat_template is None:
            raise PoolError(f"base '{base}' has no chat template; choose an instruction-tuned base")
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config()
        self.context: float = getattr(config, "max_position_embeddings", None) or math.inf  # tokens, prompt and reply
        ends: Any = None
        if (folder / "generation_config.json").is_file():
            ends = GenerationConfig.from_pretrained(folder).eos_token_id
        ends = self.tokenizer.eos_token_id if ends is None else ends
        self.stops: frozenset[int] = frozenset(ends if isinstance(ends, list) else [ends])
        try:
            self.encode(["hello"])
        except Exception as fault:  # a template is a program of others, run by transformers in Jinja's sandbox
            raise PoolError(
                f"base '{base}': its chat template cannot be used ({type(fault).__name__}: {fault}); "
                "take the base from its authors again"
            ) from fault

    def encode(self, prompts: Sequence[str]) -> list[list[int]]:
        """Token ids of each prompt as a user's message, ready for the reply; the template once, no second BOS."""
        chats = [
            self.tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
            )
            for prompt in prompts
        ]
        ids: list[list[int]] = self.tokenizer(chats, add_special_tokens=False)["input_ids"]
        return ids

    def answer(
        self, requests: Sequence[Request], reply: Callable[[list[int], list[list[int]]], list[Completion]]
    ) -> list[Completion]:
        """One completion for each request; empty and cut off where the base's context leaves no room for one.

        `reply(places, prompts)` makes those of the others, by their places in `requests` and their token ids.
        """
        prompts = self.encode([request.prompt for request in requests])
        made = [Completion("", "length", len(prompt), 0) for prompt in prompts]
        if places := [i for i, prompt in enumerate(prompts) if len(prompt) < self.context]:
            replies = reply(places, [prompts[i] for i in places])
            for i, completion in zip(places, replies, strict=True):
                made[i] = completion
        return made

    def completion(self, tokens: Sequence[int], prompt_tokens: int) -> Completion:
        """The reply in `tokens`, which end at a stop or are cut off."""
        length = next((i for i, token in enumerate(tokens) if token in self.stops), None)
        text = self.tokenizer.decode(tokens[:length], skip_special_tokens=True).strip()
        if length is None:
            return Completion(text, "length", prompt_tokens, len(tokens))
        return Completion(text, "stop", prompt_tokens, length + 1)


def seed_of(requests: Sequence[Request]) -> int:
    """The seed of a batch that is drawn at random: a function of its requests alone."""
    text = "\0".join(f"{request.sampling.text()}{request.prompt}" for request in requests)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


def digest_of(folder: Path) -> str:
    """Over every file of a base that a reply depends on, contents included."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".json", ".jinja", ".safetensors", ".model"}:
            with path.open("rb") as file:
                whole.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()[:16]
