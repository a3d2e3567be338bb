"""check and show: every misfit between experts and base is named, and what is shown is what is there."""

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hswarm.cli.main import main
from hswarm.config.recipe import read_recipe
from hswarm.errors import PoolError
from hswarm.plots.heatmap import heat_map
from hswarm.session.session import read_pool
from tests.experts.adapters import adapter, tensors
from tests.experts.checkpoints import TOKENIZER, checkpoint

Q = "model.layers.{}.self_attn.q_proj.weight"


@pytest.fixture
def base(tmp_path: Path) -> Any:
    """A base of two layers of width 6, as far as files go."""
    return checkpoint(tmp_path / "base", {Q.format(i): np.zeros((6, 6), np.float32) for i in range(2)})


@pytest.fixture
def root(tmp_path: Path, base: Any) -> Path:
    for seed, name in enumerate(("code", "cot", "flan")):
        adapter(tmp_path / "pool" / name, tensors(seed), base_model_name_or_path=str(base))
    return tmp_path / "pool"


def refused(capsys: pytest.CaptureFixture[str], *words: Any) -> Any:
    assert main(["experts", *map(str, words)]) == 2
    return capsys.readouterr().err


def test_a_pool_that_fits(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experts", "check", str(root)]) == 0
    said = capsys.readouterr().out
    assert "3 experts of" in said
    assert "not compared" not in said


def test_a_base_that_is_not_here_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("code", "cot", "flan"):
        adapter(root / name, tensors(1), base_model_name_or_path="nobody/nothing")
    assert main(["experts", "check", str(root)]) == 0
    assert (
        "base nobody/nothing is not on this machine, so modules and tokenizer were not compared"
        in capsys.readouterr().out
    )


def test_modules_that_match_nothing(root: Path, base: Any, capsys: pytest.CaptureFixture[str]) -> None:
    odd = {name.replace("layers.1", "layers.9"): array for name, array in tensors(0).items()}
    for name in ("code", "cot", "flan"):
        adapter(root / name, odd, base_model_name_or_path=str(base))
    text = refused(capsys, "check", root)
    assert "expert 'code': model.layers.9.self_attn.q_proj is (6, 6), the base has no such module (1 modules" in text


def test_modules_of_another_size(root: Path, base: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("code", "cot", "flan"):
        adapter(root / name, tensors(0, wide=8), base_model_name_or_path=str(base))
    assert "is (8, 8), the base has (6, 6) (2 modules do not fit" in refused(capsys, "check", root)


@pytest.mark.parametrize(
    "change",
    [
        {"target_modules": "model\\.layers\\.0.*"},
        {"exclude_modules": ["layers.1.self_attn.q_proj"]},
        {"layers_to_transform": [0]},
    ],
)
def test_keys_that_peft_would_pass_over(
    root: Path, base: Any, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    adapter(root / "cot", tensors(1), base_model_name_or_path=str(base), **change)
    text = refused(capsys, "check", root)
    assert "layers.1.self_attn.q_proj.lora_A.weight' is outside target_modules, so PEFT would not load it" in text


def test_a_tokenizer_of_its_own(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "cot/tokenizer.json").write_text(json.dumps(TOKENIZER))
    assert main(["experts", "check", str(root)]) == 0
    (root / "cot/tokenizer.json").write_text(json.dumps(TOKENIZER | {"added_tokens": [{"id": 2, "content": "<new>"}]}))
    assert "expert 'cot' comes with another tokenizer than its base" in refused(capsys, "check", root)
    (root.parent / "r.toml").write_text('[pool]\npath = "pool"\n[task]\nname = "toy"\n')
    with pytest.raises(PoolError, match="comes with another tokenizer"):
        read_pool(read_recipe(root.parent / "r.toml"))


def test_a_base_without_a_chat_template(root: Path, base: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (base / "tokenizer_config.json").write_text("{}")
    assert "has no chat template; choose an instruction-tuned base" in refused(capsys, "check", root)


def test_a_pool_of_one_is_shown_but_not_searched(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cot", "flan"):
        shutil.rmtree(root / name)
    assert "one expert, 'code'; a search needs at least two" in refused(capsys, "check", root)
    assert main(["experts", "show", str(root)]) == 0
    assert "diversity 1.00 of 1" in capsys.readouterr().out


def test_different_ranks_are_checked_as_the_search_would(
    root: Path, base: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    adapter(root / "cot", tensors(1, rank=3), r=3, base_model_name_or_path=str(base))
    assert "rank 3, the pool has rank 2" in refused(capsys, "check", root)
    assert main(["experts", "check", str(root), "--delta"]) == 0
    (tmp_path / "r.toml").write_text('[pool]\npath = "pool"\nspace = "delta"\n[task]\nname = "toy"\n')
    assert main(["experts", "check", str(tmp_path / "r.toml")]) == 0


def test_show_tells_table_distances_picture(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adapter(
        root / "code2",
        {name: array * 1.01 for name, array in tensors(0).items()},
        base_model_name_or_path=str(tmp_path / "base"),
    )
    assert (
        main(["experts", "show", str(root), "--svg", str(tmp_path / "p.svg"), "--json", str(tmp_path / "p.json")]) == 0
    )
    found = json.loads((tmp_path / "p.json").read_text())
    assert [row["name"] for row in found["experts"]] == ["code", "code2", "cot", "flan"]
    assert found["experts"][0]["nearest"] == "code2"
    assert 2.5 < found["diversity"] < 3.2
    image = ET.parse(tmp_path / "p.svg").getroot()
    texts = ["".join(node.itertext()) for node in image.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("code2") == 2
    assert f"{found['distances'][0][2]:.2f}" in texts
    assert f"diversity {found['diversity']:.2f} of 4" in capsys.readouterr().out


def test_several_bases_in_one_table(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adapter(root / "far", tensors(0, wide=8), base_model_name_or_path="other/base")
    assert main(["experts", "show", str(root), "--json", str(tmp_path / "p.json")]) == 0
    found = json.loads((tmp_path / "p.json").read_text())
    assert found["distances"][0][2] is None
    assert found["experts"][2]["nearest"] == ""
    assert "set pool.mixed = true" in refused(capsys, "check", root)
    assert main(["experts", "check", str(root), "--mixed"]) == 0
    assert "in 2 groups whose weights move apart" in capsys.readouterr().out


def test_a_picture_escapes_names() -> None:
    assert "&lt;b&gt;" in heat_map(["<b>", "c"], np.array([[0, np.nan], [np.nan, 0]]), "t")
