"""A pool: what is taken, what it is checked for, and what is said of it."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hswarm.errors import PoolError
from hswarm.experts.pool import PoolSettings, open_pool
from tests.experts.adapters import KEY, adapter, tensors
from tests.known import form


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three adapters of one form."""
    for seed, name in enumerate(("code", "cot", "flan")):
        adapter(tmp_path / "pool" / name, tensors(seed))
    return tmp_path / "pool"


def fault(root: Path, **settings: Any) -> str:
    with pytest.raises(PoolError) as caught:
        open_pool(PoolSettings(path=str(root), **settings))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_all_sub_folders_in_order_of_name(root: Path) -> None:
    (root / ".hidden").mkdir()
    (root / "README.md").write_text("a pool")
    pool = open_pool(PoolSettings(path=str(root)))
    assert (pool.names, pool.base) == (["code", "cot", "flan"], "tiny/base")


def test_named_experts_in_the_order_given(root: Path) -> None:
    assert open_pool(PoolSettings(path=str(root), experts=("flan", "code"))).names == ["flan", "code"]


def test_a_base_of_the_users_own(root: Path) -> None:
    assert open_pool(PoolSettings(path=str(root), base="/models/base")).base == "/models/base"


def test_an_adapter_of_another_rank_is_named_with_its_remedy(root: Path) -> None:
    adapter(root / "cot", tensors(rank=4), r=4)
    assert (
        fault(root)
        == "expert 'cot': rank 4, the pool has rank 2; convert it, leave it out (pool.experts), or add the updates themselves (pool.space = 'delta')"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lora_alpha": 8}, "expert 'cot': alpha 8, the pool has alpha 4"),
        ({"use_rslora": True}, "rslora True"),
        ({"weights": tensors(wide=8)}, "shapes or modules differ"),
        ({"weights": tensors(layers=3)}, "2 tensors differ, the first 'base_model.model.model.layers.2"),
        ({"base_model_name_or_path": "other/base"}, "base other/base, the pool's is tiny/base"),
    ],
)
def test_other_misfits(root: Path, changes: dict[str, Any], message: str) -> None:
    adapter(root / "cot", **changes)
    assert message in fault(root)


def test_the_majority_decides_even_if_the_first_differs(root: Path) -> None:
    adapter(root / "code", lora_alpha=8)
    assert "'code': alpha 8" in fault(root)


def test_all_faults_come_in_one_message(root: Path) -> None:
    adapter(root / "code", lora_bias=True)
    adapter(root / "cot", lora_alpha=8)
    (root / "flan/adapter_model.safetensors").write_bytes(b"no")
    adapter(root / "lima", tensors(3))
    adapter(root / "oasst", tensors(4))
    text = fault(root)
    assert "'code' uses a bias on lora_B" in text
    assert "'cot': alpha 8" in text
    assert "flan" in text


def test_unknown_names_get_the_nearest(root: Path) -> None:
    assert fault(root, experts=("flam", "code")) == f"no expert 'flam' in {root}; did you mean 'flan'?"


def test_a_name_twice(root: Path) -> None:
    assert "twice" in fault(root, experts=("cot", "cot"))


def test_too_few(root: Path, tmp_path: Path) -> None:
    assert "one expert, 'cot'; a search needs at least two" in fault(root, experts=("cot",))
    (tmp_path / "empty").mkdir()
    assert "no sub-folders" in fault(tmp_path / "empty")
    assert "no folder" in fault(tmp_path / "nowhere")
    with pytest.raises(PoolError, match=r"pool\.path is not set"):
        open_pool(PoolSettings())


def test_no_base_at_all(tmp_path: Path) -> None:
    for name in ("a", "b"):
        adapter(tmp_path / name, base_model_name_or_path=None)
    assert "set pool.base" in fault(tmp_path)


def test_settings_refuse_unknown_keys() -> None:
    with pytest.raises(ValidationError, match="expert"):
        TypeAdapter(PoolSettings).validate_python({"path": "x", "expert": []})


def test_the_starter_pool_is_whole_and_small() -> None:
    folder = Path(__file__).parents[2] / "experts" / "smollm2"
    pool = open_pool(PoolSettings(path=str(folder)))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(pool.experts) >= 6
    assert sum(path.stat().st_size for path in files) <= 15_000_000
    assert {path.name for path in files} == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    assert KEY.format(0, "A") in form(pool.experts[0]).names


def test_a_base_in_four_bits_is_named_with_the_original(tmp_path: Path) -> None:
    for seed, (name, base) in enumerate(
        [("a", "some/Llama-1B-bnb-4bit"), ("b", "some/Llama-1B-unsloth-bnb-4bit"), ("c", "some/Llama-1B")]
    ):
        adapter(tmp_path / name, tensors(seed), base_model_name_or_path=base)
    with pytest.raises(PoolError, match=r"'a' was trained on some/Llama-1B-bnb-4bit.*set pool.base = 'some/Llama-1B'"):
        open_pool(PoolSettings(path=str(tmp_path)))
    assert open_pool(PoolSettings(path=str(tmp_path), base="some/Llama-1B")).bases == ("some/Llama-1B",)
    assert open_pool(PoolSettings(path=str(tmp_path), base=str(tmp_path))).bases == (str(tmp_path),)


@pytest.mark.parametrize(
    "elsewhere", ["/home/someone/models/base", "../models/base", "C:\\models\\base", "a/b/c", None]
)
def test_the_pools_base_stands_for_a_folder_of_whoever_trained_an_adapter(
    elsewhere: str | None, tmp_path: Path
) -> None:
    for seed in range(2):
        adapter(tmp_path / f"near{seed}", tensors(seed))
    adapter(tmp_path / "far", tensors(2), base_model_name_or_path=elsewhere)
    assert open_pool(PoolSettings(path=str(tmp_path), base="tiny/base")).bases == ("tiny/base",)
    with pytest.raises(PoolError, match="'far': base .*, the pool's is tiny/base; .* set pool.base if both are one"):
        open_pool(PoolSettings(path=str(tmp_path)))


def test_the_pools_base_does_not_stand_for_another_one_of_the_hub(tmp_path: Path) -> None:
    for seed in range(2):
        adapter(tmp_path / f"near{seed}", tensors(seed))
    adapter(tmp_path / "far", tensors(2), base_model_name_or_path="other/base")
    with pytest.raises(PoolError, match="'far': base other/base, the pool's is tiny/base; .* correct base_model_name"):
        open_pool(PoolSettings(path=str(tmp_path), base="tiny/base"))
