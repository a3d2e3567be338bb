"""LoRA adapters beside a model's weights: the rows of one batch may have different ones.

A forward hook adds s B A x to the output of each adapted linear layer. The rows of an adapter stand together, so the
products of all adapters are two batched multiplications a layer, however many there are (after S-LoRA, arXiv
2311.03285, whose kernels gather; here rows are padded to the same number for each adapter). The weights are never
touched: nothing drifts, and no copy of them is kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from hswarm.experts.weight_change import LowRank

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_KEPT_BYTES = 2 * 2**30  # of factors on the device, for experts that come back


class Factors(NamedTuple):
    """Of one layer: `down` of shape (adapters, in, rank), and `up`, scaled, of shape (adapters, rank, out)."""

    down: Tensor
    up: Tensor


class GroupedLora:
    """Adapters on the linear layers of `model`, put beside them by `put`."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._layers = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear)}
        self._hooked: set[nn.Module] = set()
        self._kept: OrderedDict[str, dict[str, Factors]] = OrderedDict()  # by digest, most recently used last
        self._present: tuple[str, ...] = ()
        self._factors: dict[nn.Module, Factors] = {}
        self._padded: Tensor | None = (
            None  # rows by place, shape (adapters x most rows of one,); None: all have equally many
        )
        self._places: Tensor | None = None  # places by row

    def takes(self, name: str) -> bool:
        """Whether `name` is a linear layer or its weight."""
        return name.removesuffix(".weight") in self._layers

    @cached_property
    def by_row(self) -> frozenset[str]:
        """The layers whose input keeps a batch's rows apart; others (of routed experts) read tokens of all rows."""
        found: set[str] = set()

        def see(name: str, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if inputs[0].shape[:-1] == (2, 1):
                found.add(name)

        hooks = [layer.register_forward_pre_hook(partial(see, name)) for name, layer in self._layers.items()]
        self.put((), ())
        with torch.inference_mode():
            self._model(input_ids=torch.zeros(2, 1, dtype=torch.long, device=self._model.device))
        for hook in hooks:
            hook.remove()
        return frozenset(found)

    def keep(self, digest: str, changes: Mapping[str, LowRank]) -> None:
        """Bring the changes of the adapter `digest`, by weight, to the device; earlier adapters make room."""
        self._kept[digest] = {name.removesuffix(".weight"): self._of(name, change) for name, change in changes.items()}

    def has(self, digest: str) -> bool:
        """Whether the adapter `digest` is on the device."""
        return digest in self._kept

    def put(self, digests: Sequence[str], counts: Sequence[int]) -> None:
        """The next batches' rows have these adapters, `counts` rows each in this order; one adapter has any rows."""
        if self._present != tuple(digests):
            self._present = ()
            self._factors = {self._layers[name]: self._stacked(name, digests) for name in self._names(digests)}
            for layer in self._factors.keys() - self._hooked:
                layer.register_forward_hook(self._add)
                self._hooked.add(layer)
            self._present = tuple(digests)
            self._make_room(digests)
        self._padded = self._places = None
        if len(set(counts)) > 1:
            self._pad(counts)

    def _of(self, weight: str, change: LowRank) -> Factors:
        held = self._layers[weight.removesuffix(".weight")].weight
        down, up = (torch.from_numpy(factor).to(held.device) for factor in (change.down, change.up))
        return Factors(down.T.to(held.dtype), (change.scaling * up.T).to(held.dtype))

    def _names(self, digests: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(name for digest in digests for name in self._kept[digest]))

    def _stacked(self, name: str, digests: Sequence[str]) -> Factors:
        """The factors of all adapters, with zeros where one is of lower rank or leaves the layer as it is."""
        found = [self._kept[digest].get(name) for digest in digests]
        if len(found) == 1 and found[0]:
            return Factors(found[0].down[None], found[0].up[None])
        weight = self._layers[name].weight
        rank = max(factors.up.shape[0] for factors in found if factors)
        down = weight.new_zeros(len(found), weight.shape[1], rank)
        up = weight.new_zeros(len(found), rank, weight.shape[0])
        for k, factors in enumerate(found):
            if factors:
                down[k, :, : factors.up.shape[0]] = factors.down
                up[k, : factors.up.shape[0]] = factors.up
        return Factors(down, up)

    def _pad(self, counts: Sequence[int]) -> None:
        most, starts = max(counts), [sum(counts[:k]) for k in range(len(counts))]
        padded = [start + min(i, count - 1) for start, count in zip(starts, counts, strict=True) for i in range(most)]
        places = [k * most + i for k, count in enumerate(counts) for i in range(count)]
        self._padded = torch.tensor(padded, device=self._model.device)
        self._places = torch.tensor(places, device=self._model.device)

    def _make_room(self, digests: Sequence[str]) -> None:
        sizes = {digest: _bytes(factors) for digest, factors in self._kept.items()}
        for digest in digests:
            self._kept.move_to_end(digest)
        while len(self._kept) > len(set(digests)) and sum(sizes.values()) > _KEPT_BYTES:
            del sizes[self._kept.popitem(last=False)[0]]

    def _add(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Add the adapters' products to a layer's `output`, in place."""
        if (factors := self._factors.get(layer)) is None:
            return
        (down, up), read = factors, inputs[0]
        if self._padded is None or self._places is None:
            rows = read.reshape(len(down), -1, read.shape[-1])
            output.view(len(down), -1, output.shape[-1]).baddbmm_(rows @ down, up)
            return
        rows = read[self._padded].reshape(len(down), -1, read.shape[-1])
        more = (rows @ down @ up).view(len(self._padded), *output.shape[1:])
        output += more[self._places]


def _bytes(factors: Mapping[str, Factors]) -> int:
    return sum(part.nbytes for pair in factors.values() for part in pair)
