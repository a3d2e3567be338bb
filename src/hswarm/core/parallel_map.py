"""Long sums of numpy on several cores: it lets go of the interpreter while it adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import starmap
from typing import TypeVar

_T = TypeVar("_T")
_LARGE = 2**18  # numbers a call, from which threads pay


def parallel_map(function: Callable[..., _T], arguments: Sequence[tuple[object, ...]], size: int) -> list[_T]:
    """`function` of each of `arguments`, in their order; side by side where a call adds vectors of a large `size`.

    Not for LAPACK, which takes all cores itself: give a `size` of 0.
    """
    if size < _LARGE:
        return list(starmap(function, arguments))
    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda given: function(*given), arguments))
