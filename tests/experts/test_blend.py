"""Blends: "factors" adds A and B apart, "delta" adds the updates, in any ranks, and goes back to the best of a rank."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hswarm.core.swarm import Swarm, SwarmSettings
from hswarm.errors import PoolError
from hswarm.experts.adapter import Adapter
from hswarm.experts.blend import factors
from hswarm.experts.pool import ExpertPool, PoolSettings, open_pool
from tests.experts.adapters import adapter, tensors
from tests.known import adapter as known_adapter
from tests.known import form


def updates(expert: Any) -> dict[str, Any]:
    """Module -> s B A, formed outright."""
    return {module: up @ down for module, (down, up) in factors(expert).items()}


@pytest.fixture
def mixed_ranks(tmp_path: Path) -> Path:
    """Ranks 2, 3 and 1; alphas 4 and 6; one rslora; one of a single layer."""
    adapter(tmp_path / "one", tensors(0))
    adapter(tmp_path / "two", tensors(1, rank=3), r=3, lora_alpha=6, use_rslora=True)
    adapter(tmp_path / "six", tensors(2, rank=1, layers=1), r=1)
    return tmp_path


def test_delta_adds_the_updates_of_adapters_of_any_form(mixed_ranks: Path) -> None:
    pool = open_pool(PoolSettings(path=str(mixed_ranks), space="delta", rank=6))
    weights = {"one": 0.5, "six": -0.75, "two": 0.25}
    made = pool.blend([weights[name] for name in pool.names], "made")
    parts = {expert.name: updates(expert) for expert in pool.experts}
    for module, update in updates(made).items():
        expected = sum(weights[name] * part[module] for name, part in parts.items() if module in part)
        np.testing.assert_allclose(update, expected, atol=1e-5)
    assert (form(made).config["r"], form(made).scaling(""), made.base) == (6, 1.0, "tiny/base")


def test_delta_is_the_best_of_its_rank(mixed_ranks: Path) -> None:
    pool = open_pool(PoolSettings(path=str(mixed_ranks), space="delta", rank=2))
    whole = open_pool(PoolSettings(path=str(mixed_ranks), space="delta", rank=6)).blend([0.4, 0.3, 0.3], "x")
    made = updates(pool.blend([0.4, 0.3, 0.3], "x"))
    for module, update in updates(whole).items():
        values = np.linalg.svd(update, compute_uv=False)
        assert np.linalg.norm(update - made[module]) == pytest.approx(np.linalg.norm(values[2:]), rel=1e-4)


def test_every_blend_of_a_pool_has_one_form_and_loads_again(mixed_ranks: Path, tmp_path: Path) -> None:
    pool = open_pool(PoolSettings(path=str(mixed_ranks), space="delta"))
    made = pool.blend([0.0, 0.6, 0.5], "made")
    assert form(made).config["r"] == 3  # the largest of the pool
    assert form(made).digest == form(pool.blend([0.9, 0.1, 0.0], "other")).digest
    assert made.write(tmp_path / "out" / "made") == made.digest == Adapter.read(tmp_path / "out" / "made").digest


def test_blends_are_each_blend_and_the_plain_sum_bit_by_bit() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((3, 2**18 + 5), np.float32)  # longer than a stretch, and on several cores
    pool = ExpertPool(tuple(Adapter.from_vector(f"e{i}", vector, None, "b") for i, vector in enumerate(vectors)), "b")
    shares = [[0.3, -0.7, 1.9], [0.0, 0.5, 0.25], [1.0, 0.0, 0.0]]
    for row, made in zip(shares, pool.blends(shares, pool.names), strict=True):
        total = np.zeros_like(vectors[0])
        for weight, vector in zip(row, vectors, strict=True):
            total += np.float32(weight) * vector
        assert np.array_equal(known_adapter(made).vector, total)
        assert made.digest == pool.blend(row, made.name).digest
    with pytest.raises(ValueError, match="shorter"):
        pool.blends(shares, pool.names[:2])


def test_an_expert_alone_is_itself_in_either_space(mixed_ranks: Path) -> None:
    pool = open_pool(PoolSettings(path=str(mixed_ranks), space="delta"))
    for i, expert in enumerate(pool.experts):
        assert pool.blend(np.eye(3)[i], expert.name).digest == expert.digest


def test_factors_move_as_the_papers_code_does_and_miss_the_mean_update(tmp_path: Path) -> None:
    adapter(tmp_path / "one", tensors(0))
    adapter(tmp_path / "two", tensors(1))
    one, two = (Adapter.read(tmp_path / name) for name in ("one", "two"))
    half = open_pool(PoolSettings(path=str(tmp_path))).blend([0.5, 0.5], "half")
    np.testing.assert_allclose(known_adapter(half).vector, (one.vector + two.vector) / 2, atol=1e-6)
    true = open_pool(PoolSettings(path=str(tmp_path), space="delta", rank=4)).blend([0.5, 0.5], "half")
    apart = [
        np.linalg.norm(updates(half)[m] - updates(true)[m]) / np.linalg.norm(updates(true)[m]) for m in updates(half)
    ]
    assert min(apart) > 0.3


def test_an_expert_written_otherwise_is_the_same_in_delta_and_another_in_factors(tmp_path: Path) -> None:
    """(B / 2)(2 A) is the same function; only "delta" knows it."""
    adapter(tmp_path / "one", tensors(0))
    adapter(tmp_path / "two", tensors(1))
    turned = {name: array * (2.0 if "lora_A" in name else 0.5) for name, array in tensors(1).items()}
    adapter(tmp_path / "twin", turned)
    found = {}
    for space in ("delta", "factors"):
        pool = open_pool(PoolSettings(path=str(tmp_path), space=space, rank=4 if space == "delta" else 0))
        rows = [[0.5 if name in pair else 0.0 for name in pool.names] for pair in (("one", "two"), ("one", "twin"))]
        one, other = (updates(pool.blend(row, "x")) for row in rows)
        found[space] = max(np.abs(one[module] - other[module]).max() for module in one)
    assert found["delta"] < 1e-5
    assert found["factors"] > 0.1


def test_other_sizes_are_refused_in_delta_too(mixed_ranks: Path) -> None:
    adapter(mixed_ranks / "wide", tensors(wide=8))
    with pytest.raises(PoolError, match="'wide': model.layers.0.self_attn.q_proj has size .* belongs to another base"):
        open_pool(PoolSettings(path=str(mixed_ranks), space="delta"))


def test_several_bases_only_if_asked_for(mixed_ranks: Path) -> None:
    adapter(mixed_ranks / "far", tensors(wide=8), base_model_name_or_path="other/base")
    with pytest.raises(PoolError, match="'far': base other/base, the pool's is tiny/base; .* set pool.mixed = true"):
        open_pool(PoolSettings(path=str(mixed_ranks), space="delta"))
    pool = open_pool(PoolSettings(path=str(mixed_ranks), space="delta", mixed=True))
    assert pool.groups == ((0,), (1, 2, 3))
    assert pool.bases == ("other/base", "tiny/base")


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_a_swarm_of_blends_is_the_swarm_of_weights(seed: Any, experts: Any) -> None:
    """Every move of a swarm is a sum of its start: moving the shares and adding up equals moving the weights."""
    rng = np.random.default_rng(seed)
    start, settings = rng.normal(size=(experts, 7)), SwarmSettings(patience=2, restart_patience=0.5)
    weights, shares = (Swarm(x, settings, np.random.default_rng(1)) for x in (start, np.eye(experts)))
    for _ in range(8):
        np.testing.assert_allclose(shares.ask() @ start, weights.ask(), atol=1e-9)
        utilities = rng.normal(size=experts)
        weights.tell(utilities)
        shares.tell(utilities)
