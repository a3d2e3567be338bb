"""Whole models as experts of the transformers engine: a small llama built on the spot, in files as transformers saves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines.tiny import adapter_of, llama

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("default")]

PROMPTS = ["Question: 1 + 1?", "Question: which animal has eight legs?", "Say something long."]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three checkpoints of one layout; the last in many shards."""
    folder = tmp_path_factory.mktemp("full") / "pool"
    for seed, name in enumerate("abc"):
        llama(folder / name, seed, shard="100KB" if name == "c" else "1GB")
    assert len(list((folder / "c").glob("*.safetensors"))) > 1
    return folder


def opened(root: Path, **settings: Any) -> tuple[Any, Any]:
    from hswarm.engines import open_engine
    from hswarm.engines.base import EngineSettings
    from hswarm.experts.pool import PoolSettings, open_pool

    pool = open_pool(PoolSettings(path=str(root), **settings))
    engine = open_engine(EngineSettings(dtype="float32"), pool.bases)
    engine.check(pool.experts)
    return pool, engine


def replies(engine: Any, expert: Any, prompts: Any = PROMPTS) -> list[Any]:
    from hswarm.engines.base import Request, Sampling

    return [made.text for made in engine.generate([Request(expert, prompt, Sampling(12)) for prompt in prompts])]


def own_replies(folder: Path, sampled: Any = PROMPTS) -> list[Any]:
    """What transformers itself answers with the model in `folder`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(folder).float().eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    texts = []
    for prompt in sampled:
        inputs = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=12, do_sample=False, pad_token_id=1)
        texts.append(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip())
    return texts


def test_each_checkpoint_answers_as_itself(root: Path) -> None:
    pool, engine = opened(root)
    for expert in (*pool.experts, pool.experts[0]):
        assert replies(engine, expert) == own_replies(root / expert.name)
    assert len({tuple(replies(engine, expert)) for expert in pool.experts}) == 3


def test_a_blend_answers_as_it_does_once_it_is_written(root: Path, tmp_path: Path) -> None:
    pool, engine = opened(root)
    made = pool.blend([0.5, 0.4, 0.1], "made")
    made.write(tmp_path / "made")
    assert replies(engine, made) == own_replies(tmp_path / "made")


def test_bfloat16_without_tied_weights(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        llama(tmp_path / "pool" / name, seed, tied=False, dtype="bfloat16")
    pool, engine = opened(tmp_path / "pool")
    assert replies(engine, pool.experts[1]) == own_replies(tmp_path / "pool/b")
    pool.blend([0.3, 0.7], "made").write(tmp_path / "made")
    assert replies(engine, pool.blend([0.3, 0.7], "made")) == own_replies(tmp_path / "made")


def test_a_mixed_pool_of_architectures_answers_each_with_its_own(root: Path, tmp_path: Path) -> None:
    """Checkpoints of one layout, adapters of one of them, adapters of a wider model, of different ranks."""
    mixed = tmp_path / "mixed"
    for name in "ab":
        (mixed / name).parent.mkdir(exist_ok=True)
        (mixed / name).symlink_to(root / name)
    wide = llama(tmp_path / "wide", 7, hidden=128)
    adapter_of(wide, mixed / "w1", 2, 0, ["q_proj", "v_proj"])
    adapter_of(wide, mixed / "w2", 4, 1, ["q_proj", "down_proj"])
    adapter_of(mixed / "a", mixed / "x1", 2, 2, ["q_proj"])
    adapter_of(mixed / "a", mixed / "x2", 2, 3, ["q_proj"])
    pool, engine = opened(mixed, mixed=True, space="delta")
    assert [[pool.names[i] for i in group] for group in pool.groups] == [["a", "b"], ["w1", "w2"], ["x1", "x2"]]
    assert len(pool.bases) == 2
    alone = {expert.name: replies(engine, expert) for expert in pool.experts}
    assert alone["a"] == own_replies(root / "a")
    for name in ("x1", "b", "w1", "x2", "a"):  # whatever came before
        assert replies(engine, pool.experts[pool.names.index(name)]) == alone[name]
    assert len({tuple(texts) for texts in alone.values()}) == 6
    from hswarm.engines.base import Request, Sampling

    asked = [Request(expert, prompt, Sampling(12)) for prompt in PROMPTS for expert in pool.experts]
    batches = engine.batches(asked)
    assert sorted(i for batch in batches for i in batch) == list(range(len(asked)))
    assert [made.text for made in engine.generate(asked)] == [
        alone[r.expert.name][PROMPTS.index(r.prompt)] for r in asked
    ]


def test_an_expert_without_an_engine_is_named(root: Path) -> None:
    from hswarm.errors import PoolError
    from hswarm.experts.adapter import Adapter

    pool, engine = opened(root)
    from hswarm.engines.mixed import MixedEngine

    with pytest.raises(PoolError, match="'stray' is of base elsewhere, the engine was opened for"):
        MixedEngine({pool.bases[0]: engine}).check(
            [Adapter.from_vector("stray", np.zeros(2, np.float32), None, "elsewhere")]
        )


@pytest.mark.parametrize("kind", ["unknown", "missing"])
def test_tensors_that_are_not_the_models(root: Path, tmp_path: Path, kind: str) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    from hswarm.errors import PoolError

    for name in "ab":
        shutil.copytree(root / name, tmp_path / "pool" / name)
        file = tmp_path / "pool" / name / "model.safetensors"
        tensors = load_file(file)
        moved = tensors.pop("model.norm.weight")
        save_file(tensors | ({"model.odd.weight": moved} if kind == "unknown" else {}), file, {"format": "pt"})
    with pytest.raises(
        PoolError,
        match="has no model.norm" + (".* model.odd.weight is none of its weights" if kind == "unknown" else ""),
    ):
        opened(tmp_path / "pool")


def test_a_base_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    from hswarm.errors import PoolError

    for seed, name in enumerate("ab"):
        folder = llama(tmp_path / "pool" / name, seed)
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        path = Path(folder / "tokenizer_config.json")
        content = json.loads(path.read_text())
        content.pop("chat_template", None)
        path.write_text(json.dumps(content))
    with pytest.raises(PoolError, match="has no chat template; choose an instruction-tuned base"):
        opened(tmp_path / "pool")
