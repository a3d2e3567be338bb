"""What looks at, or limits, the next token while transformers generates: log-probabilities, and replies in JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from hswarm.engines.base import TokenLogprob
from hswarm.errors import EngineError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from transformers import PreTrainedTokenizerBase

# Any object; at most one character of white space at a place, since small models write nothing else once they begin.
_OBJECT = r'{"type": "object", "x-guidance": {"whitespace_pattern": "[ \\n]?"}}'

_LEAST = -9999.0  # a log-probability of nothing, as OpenAI's API has it: JSON knows no -inf


class Recorder:
    """A processor of logits that changes nothing and notes how likely each chosen token was.

    `most`, one a row of the batch: how many of the likeliest tokens to note too; None: nothing of this row.
    """

    def __init__(self, most: Sequence[int | None], decode: Callable[[list[int]], str]) -> None:
        self._most, self._decode = most, decode
        self._before: torch.Tensor | None = None  # of the next token, shape (rows, vocabulary), until it is chosen
        self._noted: list[list[TokenLogprob]] = [[] for _ in most]

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`ids`: the tokens so far, shape (rows, length); `scores`: of the next one, shape (rows, vocabulary)."""
        if self._before is not None:
            self._note(ids[:, -2:].tolist())
        self._before = torch.log_softmax(scores.float(), -1).clamp(min=_LEAST)
        return scores

    def finish(self, ids: torch.Tensor) -> list[list[TokenLogprob]]:
        """The notes of every row; `ids`: all tokens in the end, shape (rows, length)."""
        self._note(ids[:, -2:].tolist())
        return self._noted

    def _note(self, ends: Sequence[Sequence[int]]) -> None:
        """`ends`: of each row, the token chosen last and the one before it."""
        assert self._before is not None
        for row, ((previous, chosen), most) in enumerate(zip(ends, self._most, strict=True)):
            if most is None:
                continue
            logs, places = self._before[row].topk(most)
            told = zip([chosen, *places.tolist()], [float(self._before[row, chosen]), *logs.tolist()], strict=True)
            (text, log), *likeliest = [(self._text(previous, token), log) for token, log in told]
            self._noted[row].append(TokenLogprob(text, log, tuple(likeliest)))

    def _text(self, previous: int, token: int) -> str:
        """What `token` adds after `previous`: some tokenizers give a token by itself without the space before it."""
        before, both = self._decode([previous]), self._decode([previous, token])
        return both[len(before) :] if both.startswith(before) and both != before else self._decode([token])


class JsonMask:
    """A processor of logits that leaves some rows only the tokens with which they go on to be a JSON object."""

    def __init__(self, rows: Sequence[bool], tokenizer: LLTokenizer, stops: Sequence[int]) -> None:
        self._matchers = {i: _matcher(tokenizer) for i, json in enumerate(rows) if json}
        self._begun, self._stops = False, list(stops)

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """As Recorder's, with -inf for the tokens that are left out. EngineError if the grammar cannot go on."""
        from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask  # its torch part needs a compiler

        scores = scores.clone()
        for row, matcher in self._matchers.items():
            if self._begun and not matcher.is_stopped():
                matcher.consume_token(int(ids[row, -1]))
            if matcher.is_error():
                raise EngineError(f"a reply in JSON cannot go on: {matcher.get_error()}")
            if matcher.is_stopped():  # the object is whole: nothing but the end
                ends = scores[row, self._stops].clone()
                scores[row] = -torch.inf
                scores[row, self._stops] = ends
                continue
            mask = allocate_token_bitmask(1, scores.shape[-1])
            fill_next_token_bitmask(matcher, mask)
            allowed = np.unpackbits(mask.view(np.uint8), bitorder="little")[: scores.shape[-1]] > 0
            scores[row].masked_fill_(~torch.from_numpy(allowed).to(scores.device), -torch.inf)
        self._begun = True
        return scores


def guided(tokenizer: PreTrainedTokenizerBase, vocabulary: int, stops: Sequence[int]) -> LLTokenizer | None:
    """The tokenizer as llguidance reads it; None without that package, or where it does not know that kind.

    `vocabulary`: the number of logits. It takes about a second.
    """
    try:
        from llguidance.hf import from_tokenizer

        read = from_tokenizer(tokenizer, vocabulary, list(stops))
    except (ImportError, ValueError):
        return None
    matcher = _matcher(read)  # a kind that it does not know is read all the same, with other bytes for its tokens
    tokens = tokenizer('{"a": 1}', add_special_tokens=False)["input_ids"]
    return read if all(map(matcher.consume_token, tokens)) else None


def _matcher(tokenizer: LLTokenizer) -> LLMatcher:
    from llguidance import LLMatcher

    return LLMatcher(tokenizer, LLMatcher.grammar_from_json_schema(_OBJECT), log_level=0)
