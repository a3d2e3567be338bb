"""The tree of prefixes: a prompt reads what an earlier one computed, and nothing else, however little room there is."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hswarm.engines.prefix_tree import Lease, PrefixTree

SIZE = 4
PROMPT = st.tuples(st.sampled_from("ab"), st.lists(st.integers(0, 2), min_size=2, max_size=14))


class Blocks:
    """What stands in each place of each block: (expert, the tokens up to there)."""

    def __init__(self, count: int) -> None:
        self.held: list[list[object]] = [[None] * SIZE for _ in range(count)]
        self.tree = PrefixTree(count, SIZE, self.copy)
        self.computed = 0

    def copy(self, source: int, target: int) -> None:
        self.held[target] = list(self.held[source])

    def read(self, space: str, tokens: Sequence[int], lease: Lease, start: int) -> None:
        """Write the tokens from `start` on; all those before must be there."""
        for place in range(len(tokens)):
            block, row = lease.blocks[place // SIZE], place % SIZE
            if place >= start:
                self.held[block][row] = (space, tuple(tokens[: place + 1]))
                self.computed += 1
            assert self.held[block][row] == (space, tuple(tokens[: place + 1]))


@given(st.lists(st.lists(PROMPT, min_size=1, max_size=3), max_size=12), st.integers(13, 30))
def test_prompts_find_their_own_tokens_alone(batches: list[list[tuple[str, list[int]]]], count: int) -> None:
    """Batches of prompts, each with two new tokens, in hardly more room than a batch takes."""
    blocks = Blocks(count)
    for batch in batches:
        leases = [blocks.tree.take(space, tokens, len(tokens) - 2) for space, tokens in batch]
        for (space, tokens), lease in zip(batch, leases, strict=True):
            blocks.read(space, tokens, lease, lease.past)
            blocks.tree.keep(lease)
        for new in (1, 2):
            for (space, tokens), lease in zip(batch, leases, strict=True):
                blocks.tree.grow(lease, len(tokens) + new)
                blocks.read(space, [*tokens, *[9] * new], lease, len(tokens) + new - 1)
        for lease in leases:
            blocks.tree.give_back(lease)
    blocks.tree.clear()
    assert len(blocks.tree.take("a", [0] * (count * SIZE), 0).blocks) == count  # none was lost


def test_what_was_read_is_not_read_again() -> None:
    blocks = Blocks(30)
    for tokens, past in (
        ([1, 2, 3, 4, 5, 6], 0),
        ([1, 2, 3, 4, 5, 7], 4),  # the last two are always computed
        ([1, 2, 3, 4, 5, 7, 8, 9], 6),
        ([1, 2, 0, 0], 2),  # within a block
        ([2, 2, 3, 4], 0),
    ):
        lease = blocks.tree.take("a", tokens, len(tokens) - 2)
        assert lease.past == past
        blocks.read("a", tokens, lease, past)
        blocks.tree.keep(lease)
        blocks.tree.give_back(lease)
    assert blocks.tree.past("b", [1, 2, 3, 4]) == 0


def test_what_is_unused_for_longest_makes_room() -> None:
    blocks = Blocks(4)
    for first in (1, 2, 3, 1, 4, 5):
        lease = blocks.tree.take("a", [first] * SIZE, 2)
        blocks.read("a", [first] * SIZE, lease, lease.past)
        blocks.tree.keep(lease)
        blocks.tree.give_back(lease)
    assert [blocks.tree.past("a", [n] * SIZE) for n in (1, 2, 3, 4, 5)] == [SIZE, 0, SIZE, SIZE, SIZE]
    with pytest.raises(KeyError):
        blocks.tree.take("a", [5] * 5 * SIZE, 0)
    assert len(blocks.tree.take("a", [5] * 4 * SIZE, 0).blocks) == 4  # the refused one left no block behind
