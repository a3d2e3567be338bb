"""An adapter on disk and as a vector: round trips, number formats, and every fault by its message."""

import json
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from hswarm.errors import PoolError
from hswarm.experts.adapter import Adapter
from hswarm.experts.checkpoint import is_checkpoint
from hswarm.experts.form import AdapterForm
from hswarm.io import write_tensors
from tests.experts.adapters import KEY, adapter, config, tensors
from tests.known import form

FIRST = KEY.format(0, "A")


def raw_file(path: Path, entries: Any, header: Any = None) -> None:
    """A safetensors file of (name, dtype, shape, bytes), or with a header of its own."""
    data, listed = b"", {}
    for name, dtype, shape, content in entries:
        listed[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(listed if header is None else header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_reading_gives_the_tensors_as_one_vector(tmp_path: Path) -> None:
    expert = Adapter.read(adapter(tmp_path / "cot"))
    assert (expert.name, expert.vector.dtype.name, expert.vector.shape) == ("cot", "float32", (48,))
    assert not expert.vector.flags.writeable
    for name, array in form(expert).tensors(expert.vector).items():
        np.testing.assert_array_equal(array, tensors()[name])


def test_flatten_turns_tensors_back(tmp_path: Path) -> None:
    expert = Adapter.read(adapter(tmp_path / "cot"))
    np.testing.assert_array_equal(form(expert).flatten(form(expert).tensors(expert.vector)), expert.vector)


def test_writing_and_reading_keeps_weights_and_digest(tmp_path: Path) -> None:
    expert = Adapter.read(adapter(tmp_path / "cot"))
    expert.write(tmp_path / "copy")
    again = Adapter.read(tmp_path / "copy")
    assert again.digest == expert.digest
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert json.loads((tmp_path / "copy/adapter_config.json").read_text()) == config()


def test_float16_is_written_and_read(tmp_path: Path) -> None:
    expert = Adapter.read(adapter(tmp_path / "cot"))
    expert.write(tmp_path / "half", dtype="float16")
    written = load_file(tmp_path / "half/adapter_model.safetensors")
    assert {array.dtype.name for array in written.values()} == {"float16"}
    np.testing.assert_allclose(Adapter.read(tmp_path / "half").vector, expert.vector, rtol=1e-3)


def test_a_weight_too_large_for_float16_is_refused(tmp_path: Path) -> None:
    expert = Adapter.read(adapter(tmp_path / "cot"))
    with pytest.raises(PoolError, match="does not fit float16; write float32"):
        expert.with_weights(expert.vector * 1e6).write(tmp_path / "half", dtype="float16")


def test_bfloat16_is_read_without_torch(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "cot")
    expected = {name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in tensors().items()}
    raw_file(
        folder / "adapter_model.safetensors",
        [(name, "BF16", array.shape, array.tobytes()) for name, array in expected.items()],
    )
    expert = Adapter.read(folder)
    for name, array in form(expert).tensors(expert.vector).items():
        np.testing.assert_array_equal(array.view(np.uint32), expected[name].astype(np.uint32) << 16)


def test_reading_needs_no_torch(tmp_path: Path) -> None:

    folder = adapter(tmp_path / "cot")
    code = f"from hswarm.experts.adapter import Adapter as e; e.read({str(folder)!r}); import sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_digest_follows_weights_and_computing_config_only(tmp_path: Path) -> None:
    plain = Adapter.read(adapter(tmp_path / "a"))
    assert Adapter.read(adapter(tmp_path / "b", task_type="OTHER", peft_version="9")).digest == plain.digest
    assert Adapter.read(adapter(tmp_path / "c", lora_alpha=8)).digest != plain.digest
    assert Adapter.read(adapter(tmp_path / "d", tensors(seed=1))).digest != plain.digest
    assert plain.with_weights(plain.vector).digest == plain.digest


def test_order_of_target_modules_does_not_matter(tmp_path: Path) -> None:
    one = Adapter.read(adapter(tmp_path / "a", target_modules=["q_proj", "v_proj"]))
    two = Adapter.read(adapter(tmp_path / "b", target_modules=["v_proj", "q_proj"]))
    assert form(one).digest == form(two).digest


def test_moved_copies_and_may_rename(tmp_path: Path) -> None:
    expert = Adapter.read(adapter(tmp_path / "cot"))
    vector = expert.vector + 1
    moved = expert.with_weights(vector, "other")
    vector[:] = 0
    assert (moved.name, moved.form, float(moved.vector[0])) == ("other", expert.form, float(expert.vector[0] + 1))


@pytest.mark.parametrize(("rslora", "scaling"), [(False, 2.0), (True, 4 / 2**0.5)])
def test_scaling(rslora: bool, scaling: float) -> None:
    assert AdapterForm(config(use_rslora=rslora), (), ()).scaling("q_proj") == pytest.approx(scaling)


def test_vectors_of_wrong_length_or_not_finite_are_refused(tmp_path: Path) -> None:
    expert = Adapter.read(adapter(tmp_path / "cot"))
    with pytest.raises(PoolError, match=r"expected 48 weights in a row, got shape \(3,\)"):
        expert.with_weights(np.zeros(3, np.float32))
    with pytest.raises(PoolError, match="1 weights are not finite"):
        Adapter.from_vector("bare", np.array([1.0, np.nan], np.float32), None)


def test_a_bare_vector_is_written_and_read(tmp_path: Path) -> None:
    step = Adapter.from_vector("step", np.arange(3, dtype=np.float32), None)
    assert step.write(tmp_path / "x") == step.digest == Adapter.read(tmp_path / "x").digest
    write_tensors(tmp_path / "y/vector.safetensors", {"other": np.zeros(3)})
    with pytest.raises(PoolError, match="holds no tensor 'vector'"):
        Adapter.read(tmp_path / "y")


def swapped(name: Any, array: Any) -> dict[str, Any]:
    return {**tensors(), name: array}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "LOHA"}, "expected a LoRA adapter .* got LOHA"),
        ({"use_dora": True}, "has no partner .*lora_magnitude_vector"),
        ({"bias": "some"}, "bias must be 'none', 'all' or 'lora_only', got 'some'"),
        ({"lora_bias": True}, r"uses a bias on lora_B \(lora_bias is set\).*merge_and_unload"),
        ({"new_trick": 3}, "new_trick = 3 in adapter_config.json is not known to hswarm"),
        ({"init_lora_weights": "pissa"}, "trained by PiSSA .* path_initial_model_for_weight_conversion"),
        ({"init_lora_weights": "sorcery"}, "init_lora_weights = 'sorcery' is not known"),
        ({"peft_type": "PREFIX_TUNING"}, "got PREFIX_TUNING; leave it out"),
        ({"rank_pattern": {"q_proj": 4}}, "not of rank 4"),
        ({"rank_pattern": {"(": 2}}, "rank_pattern must give a positive number for each module"),
        ({"alpha_pattern": {"q_proj": 0}}, "alpha_pattern must give a positive number"),
        ({"weights": {name: array.ravel()[:0] for name, array in tensors().items()}}, r"shape \(0,\) .*ZeRO-3"),
        ({"r": 3}, "not of rank 3"),
        ({"r": 0}, "r must be a positive number, got 0"),
        ({"lora_alpha": float("inf")}, "lora_alpha must be a positive number, got inf"),
        ({"lora_alpha": 10**400}, "lora_alpha must be a positive number"),
        ({"r": True}, "r must be a positive number"),
        ({"target_modules": ["k_proj"]}, "outside target_modules"),
        ({"weights": {}}, "has no tensors"),
        ({"weights": swapped("lm_tail.weight", np.zeros((2, 2), np.float32))}, "lm_tail.weight' is not one of LoRA"),
        ({"weights": {FIRST: tensors()[FIRST]}}, "has no partner"),
        ({"weights": swapped(FIRST, np.zeros((3, 6), np.float32))}, r"has shape \(3, 6\), not of rank 2"),
        ({"weights": swapped(FIRST, np.zeros(12, np.float32))}, r"has shape \(12,\)"),
        ({"weights": swapped(FIRST, np.full((2, 6), np.nan, np.float32))}, "layers.0.*NaN or infinite"),
        ({"weights": swapped(FIRST, np.full((2, 6), 1e300))}, "NaN or infinite"),
        ({"weights": swapped(FIRST, np.zeros((2, 6), np.int32))}, "I32, expected F32"),
    ],
)
def test_adapters_that_cannot_be_combined_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PoolError, match=message) as caught:
        Adapter.read(adapter(tmp_path / "cot", **changes))
    assert "cot" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(PoolError, match=r"adapter_config\.json is missing"):
        Adapter.read(tmp_path / "nowhere")
    folder = adapter(tmp_path / "cot")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(PoolError, match=r"adapter_model\.safetensors is missing"):
        Adapter.read(folder)
    (folder / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(PoolError, match="pickle .* convert it"):
        Adapter.read(folder)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000])
def test_config_that_is_not_one(tmp_path: Path, content: bytes) -> None:
    folder = adapter(tmp_path / "cot")
    (folder / "adapter_config.json").write_bytes(content)
    with pytest.raises(PoolError, match="cannot be read as JSON|expected a LoRA adapter"):
        Adapter.read(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x00",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**40) + b"{}",
        struct.pack("<Q", 4) + b"\xff\xff\xff\xff",
    ],
)
def test_hostile_headers(tmp_path: Path, content: bytes) -> None:
    folder = adapter(tmp_path / "cot")
    (folder / "adapter_model.safetensors").write_bytes(content)
    with pytest.raises(PoolError, match="damaged or cut short"):
        Adapter.read(folder)


@pytest.mark.parametrize("offsets", [[0, 10**15], [40, 88], [48, 0], [-8, 40]])
def test_offsets_outside_the_file(tmp_path: Path, offsets: Sequence[int]) -> None:
    folder = adapter(tmp_path / "cot")
    header = {FIRST: {"dtype": "F32", "shape": [2, 6], "data_offsets": offsets}}
    raw_file(folder / "adapter_model.safetensors", [("x", "F32", (2, 6), bytes(48))], header)
    with pytest.raises(PoolError, match="damaged or cut short"):
        Adapter.read(folder)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "cot")
    path = folder / "adapter_model.safetensors"
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(PoolError):
            Adapter.read(folder)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_bytes_raise_pool_error_or_read_as_finite_weights(tmp_path: Path, flips: Any) -> None:
    folder = adapter(tmp_path / "cot")
    path = folder / "adapter_model.safetensors"
    content = bytearray(path.read_bytes())
    for place, value in flips:
        content[place % len(content)] = value
    path.write_bytes(content)
    try:
        expert = Adapter.read(folder)
    except PoolError:
        return
    assert np.isfinite(expert.vector).all()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), sized=st.booleans())
def test_random_bytes_raise_pool_error(tmp_path: Path, content: Any, sized: Any) -> None:
    folder = adapter(tmp_path / "cot")
    header = struct.pack("<Q", len(content)) if sized else b""
    (folder / "adapter_model.safetensors").write_bytes(header + content)
    with pytest.raises(PoolError):
        Adapter.read(folder)


@pytest.mark.parametrize(
    "stored",
    [
        "base_model.model._orig_mod.model.layers.{}.self_attn.q_proj.lora_{}.weight",
        "_orig_mod.base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.weight",
        "base_model.model.model.layers.{}._orig_mod.self_attn.q_proj.lora_{}.weight",
        "base_model.model.model.layers.{}._fsdp_wrapped_module.self_attn.q_proj.lora_{}.weight",
        "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.default.weight",
        "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.my-own_name.weight",
        "model.layers.{}.self_attn.q_proj.lora_{}.weight",
        "base_model.model.model.language_model.layers.{}.self_attn.q_proj.lora_{}.weight",
        "base_model.model.language_model.model.layers.{}.self_attn.q_proj.lora_{}.weight",
    ],
)
@pytest.mark.parametrize("targets", [["q_proj"], r".*(language_model|model).*layers.*q_proj"])
def test_prefixes_of_training_libraries_are_taken_off(tmp_path: Path, stored: str, targets: str | list[str]) -> None:
    plain = tensors()
    odd = {stored.format(layer, factor): plain[KEY.format(layer, factor)] for layer in range(2) for factor in "AB"}
    expert = Adapter.read(adapter(tmp_path / "cot", odd, target_modules=targets))
    assert set(form(expert).names) == set(plain)
    for name, array in form(expert).tensors(expert.vector).items():
        np.testing.assert_array_equal(array, plain[name])
    expert.write(tmp_path / "copy")
    assert Adapter.read(tmp_path / "copy").digest == expert.digest


def test_a_tensor_by_two_names_is_refused(tmp_path: Path) -> None:
    twice = tensors() | {FIRST.replace("lora_A", "lora_A.default"): tensors()[FIRST]}
    with pytest.raises(PoolError, match="twice, also as"):
        Adapter.read(adapter(tmp_path / "cot", twice))


def test_an_adapter_beside_a_models_files_is_an_adapter(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "cot")
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text("{}")
    assert not is_checkpoint(folder)
    (folder / "adapter_model.safetensors").unlink()
    assert is_checkpoint(folder)


def test_a_revision_is_part_of_the_base(tmp_path: Path) -> None:
    commit = "0123456789" * 4
    assert Adapter.read(adapter(tmp_path / "a", revision=commit)).base == f"tiny/base@{commit}"
    assert Adapter.read(adapter(tmp_path / "b", revision="main")).base == "tiny/base"
    assert Adapter.read(adapter(tmp_path / "c", revision=commit, base_model_name_or_path=str(tmp_path))).base == str(
        tmp_path
    )
