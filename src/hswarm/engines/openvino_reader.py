"""Reads texts with a PagedModel, each token once: what texts have in common, now or earlier, is not computed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby, pairwise, zip_longest

import numpy as np
from numpy.typing import NDArray

from hswarm.engines.openvino_model import LEAST, PagedModel, Row
from hswarm.engines.prefix_tree import Lease, PrefixTree, common
from hswarm.errors import EngineError

_WORTH = 16  # tokens saved, the least for which what texts share is computed first: a run of the model has its own cost


@dataclass(eq=False)
class Text:
    """Token `ids` for the expert at `place` among those put, whose digest is `space`: others cannot use what it read.

    Logits of its last `kept` tokens are wanted.
    """

    space: str
    place: int
    ids: list[int]
    kept: int = 1
    lease: Lease = field(init=False)


class Reader:
    """Keeps what `model` has computed for later texts, within its blocks."""

    def __init__(self, model: PagedModel) -> None:
        self.model, self._tree = model, PrefixTree(model.blocks, model.block, model.copy)
        self.computed = 0
        """Tokens computed so far."""

    def parts(self, texts: Sequence[Text], new: int) -> Iterator[list[Text]]:
        """`texts` in parts that have room together, with `new` more tokens each. EngineError where one has none."""
        room = self.model.blocks - 1  # one is spared while its beginning is copied
        part: list[Text] = []
        left = room
        for text in texts:
            blocks = -(-(len(text.ids) + new) // self.model.block)
            if blocks > room:
                raise EngineError(
                    f"a prompt and its reply take {len(text.ids) + new} tokens, there is room for "
                    f"{room * self.model.block}; set a larger engine.prefix_bytes or a smaller sampling.max_new_tokens"
                )
            if blocks > left:
                yield part
                part, left = [], room
            part.append(text)
            left -= blocks
        if part:
            yield part

    @contextmanager
    def reading(self, texts: Sequence[Text]) -> Iterator[list[NDArray[np.float32]]]:
        """Logits (kept, vocabulary) of each of `texts`; inside, `go_on` adds tokens to them."""
        for beginnings in self._shared(texts):
            with self._leased(beginnings):
                self._compute(beginnings)
        with self._leased(texts):
            yield self._compute(texts)

    def go_on(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """Logits (texts, vocabulary) after the one token that was added to the `ids` of each."""
        for text in texts:
            self._tree.grow(text.lease, len(text.ids))
        self.computed += len(texts)
        return self.model.run(
            [Row(text.ids[-1:], len(text.ids) - 1, text.lease.blocks, 1, text.place) for text in texts]
        )

    def forget(self) -> None:
        """Keep nothing; no text is being read."""
        self._tree.clear()

    @contextmanager
    def _leased(self, texts: Sequence[Text]) -> Iterator[None]:
        taken = []
        try:
            for text in texts:
                text.lease = self._tree.take(text.space, text.ids, len(text.ids) - max(LEAST, text.kept))
                taken.append(text.lease)
            yield
        finally:
            for lease in taken:
                self._tree.give_back(lease)

    def _compute(self, texts: Sequence[Text]) -> list[NDArray[np.float32]]:
        rows = [Row(t.ids[t.lease.past :], t.lease.past, t.lease.blocks, t.kept, t.place) for t in texts]
        logits = self.model.run(rows)
        self.computed += sum(len(row.tokens) for row in rows)
        for text in texts:
            self._tree.keep(text.lease)
        return np.split(logits, np.cumsum([text.kept for text in texts])[:-1])

    def _shared(self, texts: Sequence[Text]) -> Iterator[list[Text]]:
        """What several of `texts` begin with, in the order to compute it, where that is not there and saves enough."""
        groups = groupby(sorted(texts, key=lambda text: (text.space, text.ids)), lambda text: (text.space, text.place))
        layers = [
            [[Text(*expert, list(ids), 0) for ids in layer] for layer in shared_beginnings([t.ids for t in group])]
            for expert, group in groups
        ]
        for layer in zip_longest(*layers, fillvalue=()):
            beginnings = [text for each in layer for text in each]
            if new := [t for t in beginnings if len(t.ids) - self._tree.past(t.space, t.ids) >= _WORTH]:
                yield new


def shared_beginnings(prompts: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
    """What several of sorted `prompts` begin with: first that of them all, then longer ones that neighbours share."""
    lengths = [common(*pair) for pair in pairwise(prompts)]
    if not lengths:
        return []
    whole = min(lengths)
    longer = sorted({tuple(prompt[:n]) for prompt, n in zip(prompts, lengths, strict=False) if n > whole})
    leaves = [one for one, other in zip(longer, [*longer[1:], ()], strict=False) if other[: len(one)] != one]
    return [[prompts[0][:whole]], list(leaves)]
