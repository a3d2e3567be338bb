"""Whole checkpoints: shards, number formats, sums that are exact, memory that does not grow, faults by their message."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from hswarm.errors import PoolError
from hswarm.experts import shards
from hswarm.experts.checkpoint import Checkpoint
from hswarm.experts.pool import PoolSettings, open_pool
from tests.experts.adapters import adapter
from tests.experts.checkpoints import TOKENIZER, checkpoint, weights
from tests.known import of_kind


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, name in enumerate(("code", "cot", "flan")):
        checkpoint(tmp_path / "pool" / name, weights(seed), shards=1 + seed)
    return tmp_path / "pool"


def fault(root: Path, **settings: Any) -> str:
    with pytest.raises(PoolError) as caught:
        open_pool(PoolSettings(path=str(root), **settings))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_shards_and_one_file_are_the_same_expert(tmp_path: Path) -> None:
    one, many = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "many", shards=3)
    assert Checkpoint.read(one).digest == Checkpoint.read(many).digest
    for name, kind, values in Checkpoint.read(many).tensors():
        assert kind == "F32"
        np.testing.assert_array_equal(values, weights()[name])


def test_digest_follows_weights_config_and_tokenizer(tmp_path: Path) -> None:
    plain = Checkpoint.read(checkpoint(tmp_path / "a")).digest
    assert Checkpoint.read(checkpoint(tmp_path / "b", _name_or_path="there")).digest == plain
    changes: list[dict[str, Any]] = [
        {"tensors": weights(1)},
        {"rope_theta": 5},
        {"tokenizer": TOKENIZER | {"added_tokens": [{"id": 2, "content": "c"}]}},
    ]
    for i, change in enumerate(changes):
        assert Checkpoint.read(checkpoint(tmp_path / str(i), **change)).digest != plain


def test_a_blend_is_the_weighted_sum_and_is_written_whole(root: Path, tmp_path: Path) -> None:
    pool = open_pool(PoolSettings(path=str(root)))
    assert (pool.groups, len(pool.bases)) == (((0, 1, 2),), 1)
    made = pool.blend([0.5, 0.75, -0.25], "made")
    digest = made.write(tmp_path / "made")
    assert Checkpoint.read(tmp_path / "made").digest == digest
    written = load_file(tmp_path / "made/model.safetensors")
    for name, values in written.items():
        expected = 0.5 * weights(0)[name] + 0.75 * weights(1)[name] - 0.25 * weights(2)[name]
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert list(tmp_path.glob("made/*.new")) == []


def test_an_expert_alone_is_itself_and_writing_keeps_every_byte(root: Path, tmp_path: Path) -> None:
    pool = open_pool(PoolSettings(path=str(root)))
    alone = pool.blend([0, 1, 0], "cot")
    assert alone.digest == pool.experts[1].digest == alone.write(tmp_path / "copy")
    assert pool.blend([0, 0.5, 0], "half").digest != alone.digest


def test_blends_of_blends_add_up(root: Path) -> None:
    pool = open_pool(PoolSettings(path=str(root)))
    half, first = (of_kind(Checkpoint, one) for one in (pool.blend([0.5, 0.5, 0], "half"), pool.experts[0]))
    again = Checkpoint.blend([half, first], [1.0, -0.5], "again")
    assert [(weight, folder.path.name) for weight, folder in again.parts] == [(0.5, "cot")]


def test_half_precision_is_rounded_as_it_is_stored(tmp_path: Path) -> None:
    for seed in (0, 1):
        checkpoint(tmp_path / "pool" / str(seed), weights(seed, dtype=np.float16))
    made = open_pool(PoolSettings(path=str(tmp_path / "pool"))).blend([0.5, 0.5], "made")
    for name, kind, values in of_kind(Checkpoint, made).tensors():
        exact = (weights(0, dtype=np.float16)[name].astype(np.float32) + weights(1, dtype=np.float16)[name]) / 2
        assert kind == "F16"
        np.testing.assert_array_equal(values, exact.astype(np.float16))


@given(st.lists(st.floats(width=32, allow_infinity=False, allow_nan=False), min_size=1, max_size=50))
def test_bfloat16_is_rounded_to_the_nearest(values: Any) -> None:
    array = np.array(values, np.float32)
    back = shards.widen(shards.narrow(array, "BF16"), "BF16")
    finite = np.isfinite(back)
    spacing = np.abs(np.where(finite, back, 0)) * 2.0**-8 + 1e-40
    assert (np.abs(np.where(finite, back - array, 0)) <= spacing).all()
    np.testing.assert_array_equal(shards.narrow(back, "BF16"), shards.narrow(array, "BF16"))


@pytest.mark.parametrize("experts", [2, 8])
def test_memory_is_bounded_by_the_largest_tensor_whatever_the_number_of_experts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experts: int
) -> None:
    monkeypatch.setattr(shards, "PIECE", 1 << 16)
    wide = 1024
    for seed in range(experts):
        checkpoint(tmp_path / "pool" / str(seed), weights(seed, wide=wide))
    pool = open_pool(PoolSettings(path=str(tmp_path / "pool")))
    largest = 4 * wide * wide
    tracemalloc.start()
    pool.blend(np.full(experts, 1 / experts), "soup").write(tmp_path / "soup")
    for _ in of_kind(Checkpoint, pool.blend(np.full(experts, 1 / experts), "soup")).tensors():
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * largest + 8 * 4 * shards.PIECE  # the tensor given, the one being made, some pieces


def test_a_vector_is_never_made(root: Path) -> None:
    expert = open_pool(PoolSettings(path=str(root))).experts[0]
    assert not hasattr(expert, "vector")
    assert not hasattr(expert, "with_weights")
    assert expert.size > 0 == expert.nbytes  # a worker reads its folders, and is sent nothing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tensors": weights(wide=8)}, "is F32 (8, 8), expected F32 (6, 6)"),
        ({"tensors": weights(layers=3)}, "other tensors (2 differ, the first 'model.layers.2.o.weight'"),
        ({"tensors": weights(dtype=np.float16)}, "is F16 (6, 6), expected F32 (6, 6)"),
        ({"tokenizer": TOKENIZER | {"model": {"vocab": {"b": 0, "a": 1}}}}, "another tokenizer"),
        ({"rope_theta": 7}, "config.json differs in rope_theta"),
    ],
)
def test_checkpoints_that_cannot_be_added_are_named(root: Path, change: dict[str, Any], message: str) -> None:
    checkpoint(root / "cot", **change)
    (root / "cot/model.safetensors.index.json").unlink()
    assert fault(root).startswith("expert 'cot': ")
    assert message in fault(root)
    assert len(open_pool(PoolSettings(path=str(root), mixed=True)).groups) == 2


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: (f / "model-00002-of-00003.safetensors").unlink(), "model-00002-of-00003.safetensors is missing"),
        (lambda f: (f / "model-00002-of-00003.safetensors").write_bytes(b"no"), "damaged or cut short"),
        (lambda f: (f / "model.safetensors.index.json").write_text("{"), "cannot be read"),
        (lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../b"}}'), "points outside"),
        (lambda f: (f / "config.json").write_text("[]"), "not a model's config"),
        (
            lambda f: (f / "config.json").write_text('{"model_type": "x", "quantization_config": {"bits": 4}}'),
            "quantised",
        ),
        (lambda f: (f / "tokenizer.json").write_text("{"), "tokenizer.json cannot be read"),
    ],
)
def test_checkpoints_that_are_not_whole(root: Path, break_it: Callable[..., Any], message: str) -> None:
    break_it(root / "flan")
    assert message in fault(root)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity(root: Path, value: float) -> None:
    bad = weights(0)
    bad["model.norm.weight"][3] = value
    checkpoint(root / "code", bad)
    assert fault(root) == "expert 'code': 'model.norm.weight' holds NaN or infinite weights; train or download it again"


def test_integers_are_refused(root: Path) -> None:
    checkpoint(root / "code", weights() | {"x": np.zeros(3, np.int32)})
    assert "'x' is I32, expected F32, F16 or BF16" in fault(root)


def test_adapters_and_checkpoints_together_only_if_asked_for(root: Path) -> None:
    adapter(root / "lora")
    assert "expert 'lora' is an adapter, the pool's are checkpoints" in fault(root)
    pool = open_pool(PoolSettings(path=str(root), mixed=True))
    assert pool.groups == ((0, 1, 2), (3,))
    assert pool.bases == (str(root / "code"), "tiny/base")
    with pytest.raises(PoolError, match="do not share an architecture: code, lora"):
        pool.blend([0.5, 0, 0, 0.5], "both")


def test_a_step_out_of_the_finite_numbers_is_named(root: Path) -> None:
    made = open_pool(PoolSettings(path=str(root))).blend([3e38, 3e38, 0], "far")
    with pytest.raises(PoolError, match="are no longer finite; reduce"):
        list(of_kind(Checkpoint, made).tensors())


def test_a_checkpoint_without_tensors(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "one", {})
    assert json.loads((folder / "config.json").read_text())["model_type"] == "llama"
    with pytest.raises(PoolError, match="has no tensors"):
        Checkpoint.read(folder)
