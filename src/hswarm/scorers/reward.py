"""A reward model: a sequence classifier with one output reads question and response; its output is the score."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from hswarm.errors import MissingExtra, TaskError
from hswarm.scorers.base import Score, scorer
from hswarm.tasks.task import Example

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@scorer("reward", "The output of a reward model, a classifier with one output", extras=("cpu", "gpu"))
def reward(examples: Sequence[Example], responses: Sequence[str], *, model: str, batch: int = 8) -> list[Score]:
    """The reward, unbounded, of each response. `model` is a folder or hub id; an empty response counts as unparsed."""
    import torch

    tokenizer, network = _opened(model)
    pairs = list(zip(examples, responses, strict=True))
    values: list[float] = []
    for start in range(0, len(pairs), batch):
        texts = [_text(tokenizer, example.question, response) for example, response in pairs[start : start + batch]]
        inputs = tokenizer(
            texts,
            return_tensors="pt",
            padding=True,
            truncation=True,
            add_special_tokens=tokenizer.chat_template is None,
        )
        with torch.inference_mode():
            values += network(**inputs).logits[:, 0].float().tolist()
    return [Score(value, bool(response.strip()), response) for value, (_, response) in zip(values, pairs, strict=True)]


def _text(tokenizer: PreTrainedTokenizerBase, question: str, response: str) -> str:
    if tokenizer.chat_template is None:
        return f"{question}\n\n{response}"
    chat = [{"role": "user", "content": question}, {"role": "assistant", "content": response}]
    return str(tokenizer.apply_chat_template(chat, tokenize=False))


@lru_cache(maxsize=1)
def _opened(model: str) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    try:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
    except ImportError as missing:
        raise MissingExtra("scorer 'reward'", "cpu", "gpu") from missing
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        network = AutoModelForSequenceClassification.from_pretrained(model, use_safetensors=True).eval()
    except (OSError, ValueError) as fault:
        raise TaskError(f"reward model '{model}' cannot be opened: {str(fault).splitlines()[0]}") from fault
    if network.config.num_labels != 1:
        raise TaskError(f"reward model '{model}' has {network.config.num_labels} outputs, a reward model has one")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    network.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer, network
