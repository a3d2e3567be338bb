"""Distances and diversity are those of the updates themselves, whatever they are written as."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hswarm.experts.adapter import Adapter
from hswarm.experts.blend import factors
from hswarm.experts.distance import distances, diversity, inner_products, pool_table
from hswarm.experts.pool import ExpertPool, PoolSettings, open_pool
from tests.experts.adapters import adapter, tensors


def update(expert: Any) -> Any:
    """All of s B A in one row, formed outright."""
    return np.concatenate([(up @ down).ravel() for _, (down, up) in sorted(factors(expert).items())])


@pytest.fixture
def pool(tmp_path: Path) -> ExpertPool:
    """Three adapters; `near` is `one`, its factors written otherwise, and a hundredth longer."""
    adapter(tmp_path / "one", tensors(0))
    adapter(tmp_path / "two", tensors(1, rank=3), r=3)
    turned = {name: array * (2.0 if "lora_A" in name else 0.505) for name, array in tensors(0).items()}
    adapter(tmp_path / "near", turned)
    return open_pool(PoolSettings(path=str(tmp_path), space="delta"))


def test_products_are_those_of_the_updates(pool: ExpertPool) -> None:
    rows = np.stack([update(expert) for expert in pool.experts])
    np.testing.assert_allclose(inner_products(pool), rows @ rows.T, rtol=1e-5)


def test_table_and_distances(pool: ExpertPool) -> None:
    products = inner_products(pool)
    apart = distances(products)
    np.testing.assert_allclose(apart, apart.T)
    assert np.diag(apart).tolist() == [0, 0, 0]
    rows = {row.name: row for row in pool_table(pool, products)}
    assert {name: (row.nearest, row.kind, row.parameters) for name, row in rows.items()} == {
        "near": ("one", "rank 2", 48),
        "one": ("near", "rank 2", 48),
        "two": ("one", "rank 3", 72),
    }
    assert rows["one"].distance == pytest.approx(0.01 / 1.005, rel=1e-2)
    assert rows["one"].norm == pytest.approx(np.linalg.norm(update(pool.experts[1])), rel=1e-5)


def test_diversity_counts_unrelated_experts(pool: ExpertPool) -> None:
    assert 1.7 < diversity(inner_products(pool)) < 1.95  # two of the three are as good as one
    assert diversity(np.eye(4)) == pytest.approx(4)
    assert diversity(np.ones((4, 4))) == pytest.approx(1)


def test_vectors_of_zero() -> None:
    pool = ExpertPool(tuple(Adapter.from_vector(name, np.zeros(3, np.float32), None) for name in "ab"), "toy")
    rows = pool_table(pool, inner_products(pool))
    assert [(row.kind, row.norm, row.distance) for row in rows] == [("vector", 0.0, 0.0)] * 2
