"""Retrieval: the passages of given files that fit a text best, by BM25 (Robertson and Zaragoza, 2009, eq. 3.15)."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from hswarm.errors import ConfigError
from hswarm.options import check_ranges
from hswarm.tools.base import tool

_MOST = 64 << 20  # bytes of a file
_K1, _B = 1.2, 0.75


@tool(
    "retrieval", "The passages of given files that fit the text best (BM25)", paper="https://doi.org/10.1561/1500000019"
)
@dataclass(frozen=True)
class Retrieval:
    """`files` are UTF-8 text; a passage is a paragraph, and the `top` best are the reply."""

    files: tuple[Path, ...]
    top: Annotated[int, Ge(1)] = 1

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self._counts:
            raise ConfigError(["retrieval needs files with text; set files"])

    @cached_property
    def _passages(self) -> list[str]:
        return [passage for path in self.files for passage in _passages(path)]

    @cached_property
    def _counts(self) -> list[Counter[str]]:
        return [Counter(_words(passage)) for passage in self._passages]

    def __call__(self, text: str) -> str:
        """The passages, the best first. ValueError: none has a word of the text."""
        scores = self._scores(set(_words(text)))
        best = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[: self.top]
        found = [self._passages[i] for i in best if scores[i] > 0]
        if not found:
            raise ValueError("no passage has a word of the text")
        return "\n".join(found)

    def _scores(self, words: set[str]) -> list[float]:
        lengths = [counts.total() for counts in self._counts]
        usual = sum(lengths) / len(lengths)
        scores = [0.0] * len(lengths)
        for word in sorted(words):
            holding = [i for i, counts in enumerate(self._counts) if word in counts]
            rarity = math.log(1 + (len(lengths) - len(holding) + 0.5) / (len(holding) + 0.5))
            for i in holding:
                count = self._counts[i][word]
                scores[i] += rarity * count / (count + _K1 * (1 - _B + _B * lengths[i] / usual))
        return scores


def _passages(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _MOST:
            raise ConfigError([f"{path} is larger than {_MOST >> 20} MiB, the most that retrieval reads; split it"])
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError([f"{path} cannot be read as text for retrieval: {fault}"]) from fault
    found = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if re.search(r"\w", part)]
    if not found:
        raise ConfigError([f"{path} holds no text to retrieve"])
    return found


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
