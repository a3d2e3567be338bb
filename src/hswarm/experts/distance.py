"""Distances between the experts of a pool, by their updates: what they add to the base's weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hswarm.errors import PoolError
from hswarm.experts import shards
from hswarm.experts.adapter import Adapter
from hswarm.experts.blend import SUMMABLE, factors
from hswarm.experts.checkpoint import Checkpoint
from hswarm.experts.expert import Expert
from hswarm.experts.pool import ExpertPool

Matrix = NDArray[np.float64]


class PoolRow(NamedTuple):
    """One expert of `pool_table`; `distance` is that to the `nearest` other expert of its group ("" if alone)."""

    name: str
    digest: str
    kind: str
    parameters: int
    base: str
    norm: float
    nearest: str
    distance: float


def pool_table(pool: ExpertPool, products: Matrix) -> list[PoolRow]:
    """One row an expert, from the `inner_products` of the pool."""
    apart = distances(products)
    np.fill_diagonal(apart, np.nan)
    rows = []
    for i, expert in enumerate(pool.experts):
        alone = bool(np.isnan(apart[i]).all())
        nearest = i if alone else int(np.nanargmin(apart[i]))
        rows.append(
            PoolRow(
                expert.name,
                expert.digest,
                _kind(expert),
                expert.size,
                expert.base or pool.base,
                float(np.sqrt(products[i, i])),
                "" if alone else pool.names[nearest],
                float(apart[i, nearest]),
            )
        )
    return rows


def distances(products: Matrix) -> Matrix:
    """Shape (n, n): |a - b| over the mean of |a| and |b|; equal experts are 0 apart, unrelated ones about 1.4."""
    squares = np.diag(products)
    apart = np.sqrt(np.maximum(squares[:, None] + squares - 2 * products, 0))
    means = (np.sqrt(squares)[:, None] + np.sqrt(squares)) / 2
    np.divide(apart, means, out=apart, where=means > 0)
    np.fill_diagonal(apart, 0)
    return apart


def diversity(products: Matrix) -> float:
    """How many unrelated experts the pool is worth, from 1 (all the same up to scale) to n (all at right angles).

    The Vendi score (Friedman and Dieng, arXiv 2210.02410): exp of the entropy of the eigenvalues of the matrix of
    cosines over n. Experts of different groups count as unrelated; an expert without an update resembles none.
    """
    norms = np.sqrt(np.diag(products))
    scale = np.outer(norms, norms)
    cosines = np.divide(np.nan_to_num(products), scale, out=np.zeros_like(products), where=scale > 0)
    np.fill_diagonal(cosines, 1)
    shares = np.clip(np.linalg.eigvalsh(cosines / len(cosines)), 0, None)
    shares = shares[shares > 0] / shares.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def inner_products(pool: ExpertPool, base: Path | None = None) -> Matrix:
    """Shape (n, n): the products of the experts' updates; nan between experts of different groups.

    A checkpoint's update is its difference from the weights in the folder `base`, or from the mean of its group.
    """
    products = np.full((len(pool.experts), len(pool.experts)), np.nan)
    for group in pool.groups:
        members = [pool.experts[i] for i in group]
        checkpoints = [member for member in members if isinstance(member, Checkpoint)]
        adapters = [member for member in members if isinstance(member, Adapter)]
        if checkpoints:
            found = _of_checkpoints(checkpoints, base)
        elif not all(member.form and member.form.kinds <= SUMMABLE for member in adapters):
            vectors = np.stack([member.vector for member in adapters]).astype(np.float64)
            found = vectors @ vectors.T
        else:
            found = _of_adapters(adapters)
        products[np.ix_(group, group)] = found
    return products


def _of_adapters(experts: Sequence[Adapter]) -> Matrix:
    """<s1 B1 A1, s2 B2 A2> = sum of (B1' B2) * (A1 A2'), module by module: no update is ever formed."""
    parts = [factors(expert) for expert in experts]
    products = np.zeros((len(experts), len(experts)))
    for i, one in enumerate(parts):
        for j, other in enumerate(parts[: i + 1]):
            shared = one.keys() & other.keys()
            products[i, j] = sum(
                np.sum((one[m][1].T @ other[m][1]) * (one[m][0] @ other[m][0].T)) for m in sorted(shared)
            )
            products[j, i] = products[i, j]
    return products


def _of_checkpoints(experts: Sequence[Checkpoint], base: Path | None) -> Matrix:
    products = np.zeros((len(experts), len(experts)))
    own = shards.tensors_in(base) if base else None
    for name, _, shape in experts[0].layout.tensors:
        streams = [expert.pieces(name) for expert in experts]
        if own is not None:
            if name not in own or own[name].shape != shape:
                raise PoolError(f"base {base} has no {name} of shape {shape}; the checkpoints are not of this base")
            streams.append(shards.widen(piece, own[name].kind) for piece in own[name].pieces())
        for pieces in zip(*streams, strict=True):
            rows = np.stack(pieces)
            away = (rows[:-1] - rows[-1] if own is not None else rows - rows.mean(axis=0)).astype(np.float64)
            products += away @ away.T
    return products


def _kind(expert: Expert) -> str:
    if isinstance(expert, Checkpoint):
        return f"checkpoint {expert.layout.tensors[0][1]}"
    if expert.form is None:
        return "vector"
    words = [f"rank {expert.form.rank}", *(["rslora"] if expert.form.config.get("use_rslora") else [])]
    return " ".join([*words, *sorted(expert.form.kinds - SUMMABLE)])
