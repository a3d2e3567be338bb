"""The transformers engine on the real base and the real experts: parity with PEFT, adapters that act, exact batches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hswarm.engines import grouped_lora, open_engine
from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.engines.transformers import TransformersEngine
from hswarm.experts.base import find_base
from hswarm.experts.expert import Expert
from hswarm.experts.pool import PoolSettings, open_pool, read_expert
from hswarm.prompts import Prompts
from hswarm.tasks.task import Example
from tests.engines.tiny import adapter_of, llama
from tests.known import of_kind

pytestmark = [pytest.mark.model, pytest.mark.slow]

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
QUESTIONS = [
    f"State the final answer to the following arithmetic problem: {a} + {b} =" for a, b in ((3, 4), (21, 57), (8, 90))
]


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    return opened(BASE)


def opened(base: str | Path, batch: int = 32) -> TransformersEngine:

    return of_kind(TransformersEngine, open_engine(EngineSettings(dtype="float32", batch=batch), str(base)))


@pytest.fixture(scope="module")
def pool() -> dict[str, Expert]:

    return {e.name: e for e in open_pool(PoolSettings(path=str(Path(__file__).parents[2] / "experts/smollm2"))).experts}


def requests(expert: Expert, prompts: Sequence[str] = QUESTIONS, tokens: int = 8, **sampling: Any) -> list[Request]:

    return [
        Request(expert, Prompts().render(Example("", question, "")), Sampling(tokens, **sampling))
        for question in prompts
    ]


def test_equals_peft_in_float32(engine: TransformersEngine, pool: dict[str, Expert], tmp_path: Path) -> None:
    """Tokens of our merged weights are those of PEFT's own adapter layers."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = find_base(BASE)
    pool["sums"].write(tmp_path / "sums")  # what the weight-step writes loads in plain PEFT
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), tmp_path / "sums"
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for request, made in zip(requests(pool["sums"]), engine.generate(requests(pool["sums"])), strict=True):
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": request.prompt}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.inference_mode():
            output = model.generate(**ids, max_new_tokens=8, do_sample=False, pad_token_id=2)
        length = ids["input_ids"].shape[1]
        assert made.text == tokenizer.decode(output[0, length:], skip_special_tokens=True).strip()
        assert made.prompt_tokens == length  # the template once, no second BOS, padding not counted


def test_an_experts_full_batches_are_its_own_and_the_rest_is_mixed(pool: dict[str, Expert]) -> None:

    engine = opened(BASE, batch=4)
    mixed = [r for k in range(3) for r in (*requests(pool["family"]), *requests(pool["sums"], QUESTIONS[:k]))]
    batches = engine.batches(mixed)
    assert sorted(i for batch in batches for i in batch) == list(range(len(mixed)))
    names = [[mixed[i].expert.name for i in batch] for batch in batches]
    assert names == [["family"] * 4, ["family"] * 4, ["sums"] * 3 + ["family"]]


def test_streaming_grows_to_the_reply_of_generate(engine: TransformersEngine, pool: dict[str, Expert]) -> None:
    mixed = [*requests(pool["sums"]), *requests(pool["logic"], ["Write a line in Greek: καλημέρα"], tokens=12)]
    said = dict[int, list[str]]()
    streamed = engine.stream(mixed, lambda i, text: said.setdefault(i, []).append(text))
    assert streamed == engine.generate(mixed)
    for i, completion in enumerate(streamed):
        assert said[i][-1] == completion.text
        assert all(later.startswith(earlier) for earlier, later in zip(said[i], said[i][1:], strict=False))
        assert len(said[i]) == len(set(said[i]))
    assert max(map(len, said.values())) > 1


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Expert]]:
    """A base of two layers; adapters of it with other ranks, other modules, and norms of its own."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    root = tmp_path_factory.mktemp("small")
    base = llama(root / "base", 0)
    adapter_of(base, root / "two", 2, 1, ["q_proj", "v_proj", "down_proj"])
    adapter_of(base, root / "five", 5, 2, ["q_proj", "up_proj", "o_proj"])
    adapter_of(base, root / "three", 3, 3, "all-linear")
    config = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["norm"], init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    for name, weight in model.named_parameters():
        if "modules_to_save" in name:
            weight.data.mul_(1.5)
    model.save_pretrained(root / "norm")
    return base, {name: read_expert(root / name).with_base(str(base)) for name in ("two", "five", "three", "norm")}


def test_a_mixed_batch_answers_as_each_expert_alone(small: tuple[Path, dict[str, Expert]]) -> None:
    """Other ranks, modules and numbers of rows; replies are those of PEFT (test_peft.py checks each alone)."""

    base, experts = small
    engine = opened(base)
    texts = ["What is 3 + 4?", "What is the sea?", "abc"]
    asked = [r for k, name in enumerate(experts) for r in requests(experts[name], texts[: k or 3], tokens=12)]
    batches = engine.batches(asked)
    assert sorted(len({asked[i].expert.digest for i in batch}) for batch in batches) == [1, 3]
    assert len({len(batch) for batch in batches}) == 2
    together = engine.generate(asked)
    assert [engine.generate([request])[0] for request in asked] == together
    assert len({reply.text for reply in together}) > 6


def test_the_weights_of_the_base_stay_as_they_are(small: tuple[Path, dict[str, Expert]]) -> None:
    """LoRA on linear layers copies and changes none; what else an adapter changes is undone for the next."""
    base, experts = small
    engine = opened(base)
    before = {name: weight.clone() for name, weight in engine._model.state_dict().items()}

    def changed() -> list[str]:
        return [name for name, weight in engine._model.state_dict().items() if not weight.equal(before[name])]

    engine.generate([r for name in ("two", "five", "three") for r in requests(experts[name], ["abc"])])
    assert (changed(), list(engine._own)) == ([], [])
    engine.generate(requests(experts["norm"], ["abc"]))
    assert sorted(changed()) == sorted(engine._own)
    assert all("norm" in name for name in changed())
    engine.generate(requests(experts["two"], ["abc"]))
    assert changed() == []


def test_factors_on_the_device_make_room_for_later_ones(
    small: tuple[Path, dict[str, Expert]], monkeypatch: pytest.MonkeyPatch
) -> None:

    base, experts = small
    monkeypatch.setattr(grouped_lora, "_KEPT_BYTES", 1)
    engine = opened(base)
    asked = [r for name in ("two", "five", "three", "two") for r in requests(experts[name], ["abc"])]
    alone = [engine.generate([request])[0] for request in asked]
    assert [engine._lora.has(experts[name].digest) for name in experts] == [True, False, False, False]
    assert engine.generate(asked) == alone
