"""The transformers engine on the real base and the real experts: parity with PEFT, adapters that act, exact batches."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.model

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
QUESTIONS = [
    f"State the final answer to the following arithmetic problem: {a} + {b} =" for a, b in ((3, 4), (21, 57), (8, 90))
]


@pytest.fixture(scope="module")
def engine():
    from hswarm.engines import open_engine
    from hswarm.engines.base import EngineSettings

    return open_engine(EngineSettings(dtype="float32"), BASE)


@pytest.fixture(scope="module")
def pool():
    from hswarm.experts.pool import PoolSettings, open_pool

    return {e.name: e for e in open_pool(PoolSettings(path=str(Path(__file__).parents[2] / "experts/smollm2"))).experts}


def requests(expert, prompts=QUESTIONS, tokens=8, **sampling):
    from hswarm.engines.base import Request, Sampling
    from hswarm.prompts import Prompts
    from hswarm.tasks.task import Example

    return [
        Request(expert, Prompts().render(Example("", question, "")), Sampling(tokens, **sampling))
        for question in prompts
    ]


def test_equals_peft_in_float32(engine, pool, tmp_path):
    """Tokens of our merged weights are those of PEFT's own adapter layers."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from hswarm.experts.base import find_base

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


def test_batches_hold_one_expert_and_cover_all(engine, pool):
    mixed = [r for pair in zip(requests(pool["family"]), requests(pool["sums"]), strict=True) for r in pair]
    batches = engine.batches(mixed)
    assert sorted(i for batch in batches for i in batch) == list(range(len(mixed)))
    assert all(len({mixed[i].expert.digest for i in batch}) == 1 for batch in batches)


def test_streaming_grows_to_the_reply_of_generate(engine, pool):
    mixed = [*requests(pool["sums"]), *requests(pool["logic"], ["Write a line in Greek: καλημέρα"], tokens=12)]
    said = {}
    streamed = engine.stream(mixed, lambda i, text: said.setdefault(i, []).append(text))
    assert streamed == engine.generate(mixed)
    for i, completion in enumerate(streamed):
        assert said[i][-1] == completion.text
        assert all(later.startswith(earlier) for earlier, later in zip(said[i], said[i][1:], strict=False))
        assert len(said[i]) == len(set(said[i]))
    assert max(map(len, said.values())) > 1
