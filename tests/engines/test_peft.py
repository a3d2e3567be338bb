"""Everything PEFT writes, made by PEFT on real tiny models: replies are PEFT's own, or the adapter is refused by name.

docs/adapters.md says which is which for each engine, and is read here.
"""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hswarm.engines import open_engine
from hswarm.engines.base import Engine, EngineSettings, Request, Sampling
from hswarm.errors import PoolError
from hswarm.experts.blend import check_summable
from hswarm.experts.pool import read_expert
from tests.engines.tiny import llama
from tests.experts import peft_zoo
from tests.known import adapter as known_adapter

pytestmark = [
    pytest.mark.model,
    pytest.mark.filterwarnings("ignore:Model has .tie_word_embeddings", "ignore:fan_in_fan_out is set"),
]

PAGE = (Path(__file__).parents[2] / "docs/adapters.md").read_text(encoding="utf-8")
NEEDS = {"transformers": "torch", "openvino": "openvino", "vllm": "vllm"}
QUESTIONS = ["What is 3 + 4?", "abc"]
TOKENS = 12


def table() -> dict[str, dict[str, str]]:
    """Kind -> engine or "delta" -> what the page says."""
    lines = [line for line in PAGE.splitlines() if line.startswith("|")]
    heads = [cell.strip(" `") for cell in lines[0].strip("|").split("|")]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {row[0]: dict(zip(heads[1:], row[1:], strict=True)) for row in rows}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {
        "tied": llama(root / "tied", 0, heads=2),  # of 32 numbers each: vLLM's CPU build has no narrower ones
        "untied": llama(root / "untied", 0, heads=2, tied=False),
        "biased": llama(root / "biased", 0, heads=2, biased=True),
    }


@pytest.fixture(scope="module", params=sorted(NEEDS))
def engines(request: pytest.FixtureRequest, bases: dict[str, Path]) -> tuple[str, dict[str, Engine]]:
    if not find_spec(NEEDS[request.param]):
        pytest.skip(f"{NEEDS[request.param]} is not installed")
    settings = EngineSettings(request.param, dtype="float32")
    return request.param, {name: open_engine(settings, str(base)) for name, base in bases.items()}


@pytest.fixture(scope="module")
def adapters(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    kinds = peft_zoo.KINDS.items()
    return {name: peft_zoo.make(name, bases[kind.base], root / re.sub(r"\W", "-", name)) for name, kind in kinds}


@pytest.fixture(scope="module")
def expected(bases: dict[str, Path], adapters: dict[str, Path]) -> dict[str, list[str]]:
    """Greedy replies by transformers with PEFT's own layers in float32, of the kinds that some engine takes."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made: dict[str, Any] = {}
    for name in (name for name, row in table().items() if "yes" in row.values()):
        folder = bases[peft_zoo.KINDS[name].base]
        tokenizer = AutoTokenizer.from_pretrained(folder)
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        model = PeftModel.from_pretrained(plain, adapters[name]).eval()
        made[name] = []
        for question in QUESTIONS:
            chat = [{"role": "user", "content": question}]
            ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
            with torch.inference_mode():
                output = model.generate(**ids, max_new_tokens=TOKENS, do_sample=False, pad_token_id=1)
            length = ids["input_ids"].shape[1]
            made[name].append(tokenizer.decode(output[0, length:], skip_special_tokens=True).strip())
    return made


def test_the_page_names_every_kind() -> None:
    assert list(table()) == list(peft_zoo.KINDS)


def test_every_type_of_peft_is_made_or_refused(adapters: dict[str, Path], tmp_path: Path) -> None:
    from peft import PeftType

    made = {json.loads((folder / "adapter_config.json").read_text())["peft_type"] for folder in adapters.values()}
    assert made | peft_zoo.NOT_MADE == {kind.value for kind in PeftType}
    for kind in sorted(peft_zoo.NOT_MADE):
        (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": kind}))
        with pytest.raises(PoolError, match=f"expected a LoRA adapter .*, got {kind}; "):
            read_expert(tmp_path)


def test_replies_are_those_of_peft_or_the_adapter_is_refused_by_name(
    engines: tuple[str, dict[str, Engine]], adapters: dict[str, Path], expected: dict[str, list[str]]
) -> None:
    name, opened = engines
    wrong = {}
    for kind, folder in adapters.items():
        engine, said = opened[peft_zoo.KINDS[kind].base], table()[kind][name]
        try:
            expert = read_expert(folder)
            engine.check([expert])
            replies = [made.text for made in engine.generate([Request(expert, q, Sampling(TOKENS)) for q in QUESTIONS])]
            found = "yes" if replies == expected.get(kind) else f"other replies: {replies}"
        except PoolError as fault:
            assert folder.name in str(fault)
            assert "\n" not in str(fault)
            found = "no"
        if found != said:
            wrong[kind] = (found, said)
    assert not wrong


def test_what_can_be_added_as_updates(adapters: dict[str, Path]) -> None:
    found = {}
    for kind, folder in adapters.items():
        try:
            check_summable(known_adapter(read_expert(folder)))
            found[kind] = "yes"
        except PoolError:
            found[kind] = "no"
    assert found == {kind: row["delta"] for kind, row in table().items()}


def test_an_adapter_leaves_no_trace(bases: dict[str, Path], adapters: dict[str, Path]) -> None:
    """After every kind the plain adapter answers as before."""
    engine = open_engine(EngineSettings("transformers", dtype="float32"), str(bases["tied"]))
    asked = [Request(read_expert(adapters["LoRA"]), question, Sampling(TOKENS)) for question in QUESTIONS]
    before = engine.generate(asked)
    for kind, row in table().items():
        if row["transformers"] == "yes" and peft_zoo.KINDS[kind].base == "tied":
            engine.generate([Request(read_expert(adapters[kind]), QUESTIONS[0], Sampling(1))])
            assert engine.generate(asked) == before, kind


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_real_base_with_tied_weights(name: str, tmp_path: Path) -> None:
    """SmolLM2 ties head and embeddings: adapters on either, and one with patterns, answer as with PEFT."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from hswarm.experts.base import find_base

    if not find_spec(NEEDS[name]):
        pytest.skip(f"{NEEDS[name]} is not installed")
    base = "HuggingFaceTB/SmolLM2-135M-Instruct"
    folder, question = find_base(base), "State the result: 21 + 57 ="
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    engine = open_engine(EngineSettings(name, dtype="float32"), base)
    for kind in ("rank_pattern", "LoRA on lm_head, tied", "LoRA on embeddings, tied", "DoRA"):
        if table()[kind][name] == "no":
            continue
        expert = read_expert(peft_zoo.make(kind, folder, tmp_path / kind.replace(" ", "-"), spread=0.02))
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        model = PeftModel.from_pretrained(plain, tmp_path / expert.name).eval()
        with torch.inference_mode():
            output = model.generate(**ids, max_new_tokens=TOKENS, do_sample=False, pad_token_id=2)
        expected = tokenizer.decode(output[0, ids["input_ids"].shape[1] :], skip_special_tokens=True).strip()
        (made,) = engine.generate([Request(expert, question, Sampling(TOKENS))])
        assert made.text == expected, kind
