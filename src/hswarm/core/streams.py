"""Random numbers by purpose: what is drawn for one purpose does not depend on what was drawn for another."""

from __future__ import annotations

import zlib

import numpy as np


def seed_of(rng: np.random.Generator) -> int:
    """The number that `rng` was seeded with: streams that start from it can be drawn again after an interruption."""
    entropy = getattr(rng.bit_generator.seed_seq, "entropy", None)
    return entropy if isinstance(entropy, int) else int(rng.integers(2**32))


def stream(seed: int, purpose: str, iteration: int = 0) -> np.random.Generator:
    """The random numbers of one purpose in one iteration: the same whatever was drawn elsewhere."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), iteration])
