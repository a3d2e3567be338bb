"""The micro pool in the repository: standard files, and experts whose chain does what none of them can alone."""

from pathlib import Path
from typing import Any

import pytest

from hswarm.core.topology import Topology
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.experts.pool import ExpertPool, PoolSettings, open_pool
from hswarm.prompts import Prompts
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks.micro import SKILLS, WORLD

pytestmark = pytest.mark.model


@pytest.fixture
def micro(root: Path) -> tuple[ExpertPool, Any, EngineSettings]:
    from hswarm.engines.transformers import TransformersEngine

    settings = EngineSettings(dtype="float32", batch=64)
    pool = open_pool(PoolSettings(path=str(root / "experts/micro/pool"), base=str(root / "experts/micro/base")))
    return pool, TransformersEngine(settings, pool.base), settings


def test_plain_transformers_and_peft_load_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.chdir(root)
    tokenizer = AutoTokenizer.from_pretrained("experts/micro/base")
    base = AutoModelForCausalLM.from_pretrained("experts/micro/base")
    assert 2e6 < base.num_parameters() < 6e6
    model = PeftModel.from_pretrained(base, "experts/micro/pool/tav")
    example = WORLD.generate(["tav"], 1, seed=1)[0]
    chat = [{"role": "user", "content": Prompts().render(example)}]
    inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    said = model.generate(**inputs, max_new_tokens=14, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert tokenizer.decode(said, skip_special_tokens=True).strip() == example.answer


def test_its_size(root: Path) -> None:
    files = [file for file in (root / "experts/micro").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 15_000_000
    assert {path.name for path in (root / "experts/micro/pool").iterdir()} == set(SKILLS)


def test_a_chain_in_the_right_order_does_what_no_expert_can(
    micro: tuple[ExpertPool, Any, EngineSettings],
) -> None:
    pool, engine, settings = micro
    by_name = {expert.name: expert for expert in pool.experts}

    def right(names: Any, questions: Any) -> Any:
        experts = tuple(by_name[name] for name in names)
        system = System(Topology.chain(len(names)), experts, Prompts(), pool.base, settings, Sampling(14))
        replies = Executor(engine).run([system], questions, "test")[0][-1]
        return sum(reply.text.strip() == q.answer for reply, q in zip(replies, questions, strict=True)) / len(questions)

    questions = WORLD.generate(["tav+wex"], 40, seed=1)
    assert right(["tav", "wex"], questions) > 0.5
    assert max(right([name], questions) for name in ("tav", "wex")) == 0
    assert right(["wex", "tav"], questions) < 0.2
