"""Replies of several experts that sample each token together, from the weighted mean of their distributions.

The model holds one part at a time, so the parts take turns at each token, each with its own key-value cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache

from hswarm.engines.base import Sampling
from hswarm.experts.expert import Expert
from hswarm.experts.fusion import Fusion

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class _Listener(Protocol):
    """Receives each step's tokens, like a streamer of transformers' `generate`."""

    def put(self, value: Tensor) -> None: ...


class FusedReply:
    """The parts of `fusion` read left-padded `ids` (rows, length) with their `mask`; `put` sets the model's weights."""

    def __init__(
        self, model: PreTrainedModel, put: Callable[[Expert], None], fusion: Fusion, ids: Tensor, mask: Tensor
    ) -> None:
        self._model, self._put, self._parts, self._mask = model, put, fusion.parts, mask
        self._caches = [DynamicCache(config=model.config) for _ in fusion.parts]
        logits, perplexities = [], []
        for k in range(len(fusion.parts)):
            seen = self._read(k, ids)
            logits.append(seen[:, -1])
            perplexities.append(_perplexities(seen, ids, mask))
        shares = [fusion.shares(row) for row in torch.stack(perplexities, 1).tolist()]
        self._logs = torch.tensor(shares, device=ids.device).log().T  # (parts, rows)
        self._next = self._mixed(logits)

    def write(self, sampling: Sampling, stops: frozenset[int], listener: _Listener | None = None) -> list[list[int]]:
        """New tokens of each row, until all rows have reached one of `stops` or the maximum of `sampling`."""
        tokens: list[Tensor] = []
        done = torch.zeros(len(self._mask), dtype=torch.bool, device=self._mask.device)
        ends = torch.tensor(sorted(stops), device=self._mask.device)
        while True:
            drawn = _draw(self._next, sampling)
            tokens.append(drawn)
            if listener:
                listener.put(drawn.cpu())
            done |= torch.isin(drawn, ends)
            if len(tokens) == sampling.max_new_tokens or bool(done.all()):
                return [row.tolist() for row in torch.stack(tokens, 1)]
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(drawn), 1)], 1)
            self._next = self._mixed([self._read(k, drawn[:, None])[:, -1] for k in range(len(self._parts))])

    def _read(self, k: int, ids: Tensor) -> Tensor:
        """Logits (rows, length, vocabulary) of part k, which continues from its cache."""
        self._put(self._parts[k])
        places = (self._mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        found: Tensor = self._model(
            input_ids=ids, attention_mask=self._mask, position_ids=places, past_key_values=self._caches[k]
        ).logits.float()
        return found

    def _mixed(self, logits: list[Tensor]) -> Tensor:
        """Log-probabilities (rows, vocabulary) of the weighted mean of the parts' distributions."""
        return torch.logsumexp(torch.stack(logits).log_softmax(-1) + self._logs[:, :, None], 0)


def _perplexities(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """The perplexity (rows,) of each prompt, row by row to save memory."""
    found = []
    for row, tokens, own in zip(logits, ids, mask.bool(), strict=True):
        own_logits, own_tokens = row[own], tokens[own]
        found.append(torch.nn.functional.cross_entropy(own_logits[:-1], own_tokens[1:]).exp())
    return torch.stack(found)


def _draw(logs: Tensor, sampling: Sampling) -> Tensor:
    """One token a row, given log-probabilities: the likeliest, or sampled as `sampling` says."""
    if not sampling.temperature:
        return logs.argmax(-1)
    shares, order = (logs / sampling.temperature).softmax(-1).sort(-1, descending=True)
    shares[shares.cumsum(-1) - shares >= sampling.top_p] = 0
    return order.gather(-1, torch.multinomial(shares, 1))[:, 0]
