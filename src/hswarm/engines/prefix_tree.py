"""Which blocks hold the keys and values of which tokens: what prompts have in common is computed once.

A tree for each expert, whose nodes are blocks; the tokens of a node follow those of its parent. A prompt takes the
blocks that hold its beginning. It shares those that are full; a block of which it has only the first tokens is copied.
Blocks that nobody has used for longest are used again. After SGLang's radix attention (arXiv 2312.07104), in blocks.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile


@dataclass(eq=False)
class _Node:
    """A block with `tokens`; `users` are the prompts at work that read it."""

    tokens: tuple[int, ...]
    block: int
    parent: _Node | None
    users: int = 0
    children: dict[tuple[int, ...], _Node] = field(default_factory=dict)
    order: list[tuple[int, ...]] = field(default_factory=list)  # the keys of `children`, sorted

    def nearest(self, tokens: tuple[int, ...]) -> tuple[_Node | None, int]:
        """The child that has most tokens in common with `tokens` from the start, and how many."""
        place = bisect(self.order, tokens)
        found = [(common(key, tokens), self.children[key]) for key in self.order[max(0, place - 1) : place + 1]]
        length, node = max(found, key=lambda pair: pair[0], default=(0, None))
        return node, length


@dataclass(eq=False)
class Lease:
    """The blocks of one prompt at work: those of the nodes in `path` are shared, the others its own.

    Keys and values of its first `past` tokens are there.
    """

    tokens: tuple[int, ...]
    root: _Node
    path: list[_Node]
    own: list[int]
    past: int

    @property
    def blocks(self) -> list[int]:
        return [*(node.block for node in self.path), *self.own]


class PrefixTree:
    """Blocks 0 to `blocks` - 1 of `size` tokens each; `copy(source, target)` copies one."""

    def __init__(self, blocks: int, size: int, copy: Callable[[int, int], None]) -> None:
        self._free, self._size, self._copy = list(range(blocks))[::-1], size, copy
        self._roots: dict[str, _Node] = {}
        self._used: OrderedDict[_Node, None] = OrderedDict()  # a node is used after those below it

    def past(self, space: str, tokens: Sequence[int]) -> int:
        """Of how many of the first `tokens` keys and values are there."""
        return self._find(self._root(space), tuple(tokens))[2]

    def take(self, space: str, tokens: Sequence[int], most: int) -> Lease:
        """The blocks that hold the beginning of `tokens`, of `most` of them at most, and new ones for the rest.

        KeyError if too few blocks are free.
        """
        root, tokens = self._root(space), tuple(tokens)
        path, nearest, past = self._find(root, tokens[: max(0, most)])
        for node in path:
            node.users += 1
        self._touch(path)
        lease = Lease(tokens, root, path, [], past)
        try:
            for _ in range(len(path), -(-len(tokens) // self._size)):
                lease.own.append(self._new(nearest))
        except KeyError:
            self.give_back(lease)
            raise
        if nearest:
            self._touch([*path, nearest])
            self._copy(nearest.block, lease.own[0])
        return lease

    def grow(self, lease: Lease, length: int) -> None:
        """Room for `length` tokens. KeyError if no block is free."""
        while len(lease.path) + len(lease.own) < -(-length // self._size):
            lease.own.append(self._new(None))

    def keep(self, lease: Lease) -> None:
        """All tokens of `lease` are computed now: later prompts may use its blocks."""
        while lease.own and len(lease.path) * self._size < len(lease.tokens):
            start = len(lease.path) * self._size
            tokens, parent = lease.tokens[start : start + self._size], lease.path[-1] if lease.path else lease.root
            if tokens in parent.children:
                break  # another prompt was first; the rest stays private
            node = _Node(tokens, lease.own.pop(0), parent, users=1)
            parent.children[tokens] = node
            insort(parent.order, tokens)
            lease.path.append(node)
        self._touch(lease.path)

    def give_back(self, lease: Lease) -> None:
        """The prompt is done: its own blocks are free, the others may be."""
        for node in lease.path:
            node.users -= 1
        self._free += lease.own

    def clear(self) -> None:
        """Forget everything; no prompt is at work."""
        self._free += [node.block for node in self._used]
        self._used.clear()
        self._roots.clear()

    def _root(self, space: str) -> _Node:
        return self._roots.setdefault(space, _Node((), -1, None))

    def _find(self, root: _Node, tokens: tuple[int, ...]) -> tuple[list[_Node], _Node | None, int]:
        """Full blocks of `tokens` from the start, the one that has most of those after them, how many tokens in all."""
        path: list[_Node] = []
        while True:
            start = len(path) * self._size
            node, length = (path[-1] if path else root).nearest(tokens[start : start + self._size])
            if node is None or length < self._size:
                return path, node if length else None, start + length
            path.append(node)

    def _touch(self, path: Sequence[_Node]) -> None:
        for node in reversed(path):
            self._used[node] = None
            self._used.move_to_end(node)

    def _new(self, spared: _Node | None) -> int:
        """A block that is free, if need be the one unused for longest, but not that of `spared`."""
        if self._free:
            return self._free.pop()
        node = next((node for node in self._used if not (node.users or node.children or node is spared)), None)
        if node is None:
            raise KeyError("no block is free")
        del self._used[node]
        assert node.parent is not None
        del node.parent.children[node.tokens]
        node.parent.order.remove(node.tokens)
        return node.block


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many items two sequences have in common from the start."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
