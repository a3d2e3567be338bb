"""What every engine promises, on the real base and real experts: the same tests for all that are installed."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hswarm.engines import open_engine
from hswarm.engines.base import Engine, EngineSettings, Request, Sampling
from hswarm.errors import PoolError
from hswarm.experts.adapter import Adapter
from hswarm.experts.form import AdapterForm
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.prompts import Prompts
from hswarm.tasks.task import Example

pytestmark = [pytest.mark.model, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
NEEDS = {"transformers": "torch", "openvino": "openvino", "vllm": "vllm"}
TEXTS = [f"State the final answer to the following arithmetic problem: {a} + {b} =" for a, b in ((3, 4), (21, 57))]
# Longer than two blocks of any prefix cache, so that a block kept for another expert would be used.
LONG = " ".join(f"Item {i} has weight {i * 7 % 13}." for i in range(12))
TEXTS += [
    f"{LONG} How many times does the letter e appear in the text 'reflect the {word}'?" for word in ("evening", "x")
]


@pytest.fixture(scope="module", params=sorted(NEEDS))
def engine(request: pytest.FixtureRequest) -> Engine:
    if not find_spec(NEEDS[request.param]):
        pytest.skip(f"{NEEDS[request.param]} is not installed")
    return open_engine(EngineSettings(request.param, dtype="float32"), BASE)


@pytest.fixture(scope="module")
def pool() -> dict[Any, Any]:
    return {e.name: e for e in open_pool(PoolSettings(path=str(ROOT / "experts/smollm2"))).experts}


@pytest.fixture(scope="module")
def expected(pool: dict[str, Any]) -> dict[Any, Any]:
    """(expert, text) -> token ids of the reply by transformers with PEFT's own adapter layers, float32, one at a time."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from hswarm.experts.base import find_base

    folder = find_base(BASE)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    made = {}
    for name in ("sums", "sisters"):
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        model = PeftModel.from_pretrained(plain, ROOT / "experts/smollm2" / name).eval()
        for text in TEXTS:
            chat = [{"role": "user", "content": asked(text)}]
            ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
            with torch.inference_mode():
                output = model.generate(**ids, max_new_tokens=8, do_sample=False, pad_token_id=2)
            length = ids["input_ids"].shape[1]
            made[name, text] = tokenizer.decode(output[0, length:], skip_special_tokens=True).strip(), length
    return made


CITY, CITIES = "Name a city in Norway.", (("A", "Paris"), ("B", "The old town of Oslo"))


@pytest.fixture(scope="module")
def likely(pool: dict[str, Any]) -> tuple[dict[str, list[float]], int]:
    """Expert -> the log-probability of each of CITIES by PEFT's own layers in float32, each read whole."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from hswarm.experts.base import find_base

    folder, found = find_base(BASE), dict[str, list[float]]()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = [{"role": "user", "content": CITY}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
    for name in ("sums", "sisters"):
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        model = PeftModel.from_pretrained(plain, ROOT / "experts/smollm2" / name).eval()
        found[name] = []
        for _, text in CITIES:
            ending = tokenizer(text, add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                logs = model(torch.tensor([[*prompt, *ending]])).logits[0].log_softmax(-1)
            found[name].append(sum(float(logs[len(prompt) - 1 + i, token]) for i, token in enumerate(ending)))
    return found, len(prompt)


def asked(text: Any) -> Any:
    return Prompts().render(Example("", text, ""))


def ask(expert: Any, texts: Any = TEXTS, tokens: int = 8, **sampling: Any) -> list[Request]:
    return [Request(expert, asked(text), Sampling(tokens, **sampling)) for text in texts]


def texts_of(completions: Any) -> list[Any]:
    return [completion.text for completion in completions]


def test_greedy_replies_are_those_of_transformers_and_peft(
    engine: Any, pool: dict[str, Any], expected: dict[Any, Any]
) -> None:
    mixed = [request for pair in zip(ask(pool["sums"]), ask(pool["sisters"]), strict=True) for request in pair]
    for request, made in zip(mixed, engine.generate(mixed), strict=True):
        text = next(text for text in TEXTS if asked(text) == request.prompt)
        assert (made.text, made.prompt_tokens) == expected[request.expert.name, text]


def test_an_expert_acts_and_leaves_no_trace(engine: Any, pool: dict[str, Any]) -> None:
    none = pool["sums"].with_weights(np.zeros(pool["sums"].size), "none")
    base = engine.generate(ask(none))
    first = engine.generate(ask(pool["sums"]))
    other = engine.generate(ask(pool["letters"]))
    assert texts_of(first) != texts_of(base)
    assert texts_of(first) != texts_of(other)
    assert engine.generate(ask(none)) == base
    assert engine.generate(ask(pool["sums"])) == first


def test_half_an_expert_is_not_the_whole(engine: Any, pool: dict[str, Any]) -> None:
    """The scaling alpha / r counts: twice alpha with half of B is the same expert, with B as it was another."""
    whole = pool["letters"]
    doubled = AdapterForm(
        {**whole.form.config, "lora_alpha": 2 * whole.form.config["lora_alpha"]}, whole.form.names, whole.form.shapes
    )
    halved = {n: t * (0.5 if ".lora_B." in n else 1) for n, t in whole.form.tensors(whole.vector).items()}
    same = Adapter.from_vector("same", doubled.flatten(halved), doubled, whole.base)
    stronger = Adapter.from_vector("stronger", 4 * np.array(whole.vector), doubled, whole.base)
    assert texts_of(engine.generate(ask(same))) == texts_of(engine.generate(ask(whole)))
    assert texts_of(engine.generate(ask(stronger))) != texts_of(engine.generate(ask(whole)))


def test_order_of_a_batch_is_irrelevant(engine: Any, pool: dict[str, Any]) -> None:
    mixed = ask(pool["sums"]) + ask(pool["family"])
    assert engine.generate(mixed[::-1])[::-1] == engine.generate(mixed)


def test_a_reply_does_not_depend_on_its_batch_in_float32(engine: Any, pool: dict[str, Any]) -> None:
    mixed = ask(pool["family"]) + ask(pool["sums"])
    assert engine.generate(mixed) == [engine.generate([request])[0] for request in mixed]


def test_batches_cover_all_requests_once(engine: Any, pool: dict[str, Any]) -> None:
    mixed = [request for pair in zip(ask(pool["sums"]), ask(pool["family"]), strict=True) for request in pair]
    assert sorted(i for batch in engine.batches(mixed) for i in batch) == list(range(len(mixed)))


def test_nothing_asked_nothing_answered(engine: Any) -> None:
    assert engine.generate([]) == []
    assert engine.batches([]) == []


def test_cut_off_replies_say_so(engine: Any, pool: dict[str, Any]) -> None:
    (made,) = engine.generate(ask(pool["spelling"], ["Tell me a long story about the sea."], tokens=1))
    assert (made.finish, made.completion_tokens) == ("length", 1)
    (whole,) = engine.generate(ask(pool["sums"], TEXTS[:1], tokens=20))
    assert (whole.text, whole.finish) == ("7", "stop")


def test_a_prompt_without_room_for_a_reply_is_cut_off_alone(engine: Any, pool: dict[str, Any]) -> None:
    made = engine.generate(ask(pool["sums"], ["word " * 8200, TEXTS[0]], tokens=20))
    assert (made[0].text, made[0].finish) == ("", "length")
    assert made[0].prompt_tokens > 8192  # SmolLM2's context
    assert (made[1].text, made[1].finish) == ("7", "stop")


def test_draws_repeat_by_seed(engine: Any, pool: dict[str, Any]) -> None:
    story = ["Tell me a story about a ship, a whale and a lighthouse."]
    one, again = (engine.generate(ask(pool["logic"], story, 12, temperature=1.5, seed=1)) for _ in range(2))
    others = [engine.generate(ask(pool["logic"], story, 12, temperature=1.5, seed=s))[0].text for s in range(2, 6)]
    assert one == again
    assert set(others) != {one[0].text}


def test_an_expert_of_another_base_is_refused(engine: Any, pool: dict[str, Any]) -> None:
    form = pool["sums"].form
    names = tuple(name.replace("layers.0.", "layers.99.") for name in form.names)
    stranger = Adapter.from_vector(
        "stranger", np.array(pool["sums"].vector), AdapterForm(form.config, names, form.shapes)
    )
    wide = tuple(
        (*shape[:-1], 2 * shape[-1]) if "lora_A" in name else shape
        for name, shape in zip(form.names, form.shapes, strict=True)
    )
    wider = AdapterForm(form.config, form.names, wide)
    for other in (stranger, Adapter.from_vector("wider", np.zeros(wider.size, np.float32), wider)):
        with pytest.raises(PoolError, match="belongs to another base"):
            engine.check([pool["sums"], other])
    assert texts_of(engine.generate(ask(pool["sums"], TEXTS[:1]))) == ["7"]


def test_options_are_as_likely_as_by_peft(engine: Any, pool: Any, likely: Any) -> None:
    """Texts of several tokens and letters of one, two experts in turn, after generating and before it."""
    found, length = likely
    letters = Request(pool["sums"], CITY, Sampling(choose="letter"), (("Paris", ""), ("A", "")))
    asked = [Request(pool[name], CITY, Sampling(choose="text"), CITIES) for name in ("sums", "sisters", "sums")]
    made = engine.loglikelihood([*asked, letters])
    for request, options in zip(asked, made, strict=False):
        assert options.logs == pytest.approx(found[request.expert.name], abs=1e-3)
        assert options.prompt_tokens == length
    assert made[-1].logs[0] == pytest.approx(found["sums"][0], abs=1e-3)
    assert texts_of(engine.generate(ask(pool["sums"], TEXTS[:1]))) == ["7"]


def test_the_fingerprint_tells_precisions_apart(engine: Any) -> None:
    assert "float32" in engine.fingerprint
