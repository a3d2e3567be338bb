"""Experts that draw each token together, on the micro pool, beside the same sums worked out with plain PEFT."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hswarm.cli.main import main
from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.errors import PoolError
from hswarm.experts.fusion import Fusion
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.prompts import Prompts
from hswarm.tasks.micro import WORLD

pytestmark = pytest.mark.model
NAMES = ("tav", "wex", "zor")


@pytest.fixture(scope="module")
def micro(root: Path) -> tuple[dict[str, Any], Any]:
    pool = open_pool(PoolSettings(path=str(root / "experts/micro/pool"), base=str(root / "experts/micro/base")))
    return {expert.name: expert for expert in pool.experts}, pool.base


@pytest.fixture(scope="module")
def engine(micro: tuple[dict[str, Any], Any]) -> Any:
    from hswarm.engines.transformers import TransformersEngine

    return TransformersEngine(EngineSettings(dtype="float32", batch=64), micro[1])


@pytest.fixture(scope="module")
def prompts() -> list[Any]:
    asked = [question for name in NAMES for question in WORLD.generate([name], 2, seed=3)]
    return [Prompts().render(question, ["a longer beginning"] * (i % 3)) for i, question in enumerate(asked)]


def by_peft(root: Path, prompt: Any, weights: Any, steps: int = 14) -> tuple[Any, Any]:
    """The fused reply, greedy, without cache and batch; `weights` None: by perplexity."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(root / "experts/micro/base")
    model = AutoModelForCausalLM.from_pretrained(root / "experts/micro/base", dtype=torch.float32)
    for name in NAMES:
        folder = root / "experts/micro/pool" / name
        if name == NAMES[0]:
            model = PeftModel.from_pretrained(model, folder, adapter_name=name)
        else:
            model.load_adapter(folder, adapter_name=name)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )["input_ids"]
    length = ids.shape[1]
    for _ in range(steps):
        logits = []
        for name in NAMES:
            model.set_adapter(name)
            with torch.inference_mode():
                logits.append(model(ids).logits[0])
        if weights is None:
            loss = [torch.nn.functional.cross_entropy(each[:-1], ids[0, 1:]).item() for each in logits]
            weights = np.exp(-np.array(loss)) / np.exp(-np.array(loss)).sum()
        mixed = sum(w * each[-1].softmax(-1) for w, each in zip(weights, logits, strict=True))
        ids = torch.cat([ids, mixed.argmax().view(1, 1)], 1)
        if ids[0, -1] == tokenizer.eos_token_id:
            break
    return tokenizer.decode(ids[0, length:], skip_special_tokens=True).strip(), weights


@pytest.mark.parametrize("weights", [None, (0.5, 0.3, 0.2)])
def test_equals_the_mean_of_distributions(
    root: Path,
    micro: tuple[dict[str, Any], Any],
    engine: Any,
    prompts: list[Any],
    weights: tuple[float, float, float] | None,
) -> None:
    fusion = Fusion.join([micro[0][name] for name in NAMES], weights)
    made = engine.generate([Request(fusion, prompt, Sampling(14)) for prompt in prompts])
    expected = [by_peft(root, prompt, weights) for prompt in prompts]
    assert [reply.text for reply in made] == [text for text, _ in expected]
    if weights is None:  # they depend on the prompt
        assert np.std([shares for _, shares in expected], axis=0).max() > 0.001
    alone = engine.generate([Request(micro[0]["tav"], prompt, Sampling(14)) for prompt in prompts])
    assert [reply.text for reply in alone] != [reply.text for reply in made]
    assert made[0].prompt_tokens == 3 * alone[0].prompt_tokens


def test_one_part_of_all_the_weight_speaks_alone(
    micro: tuple[dict[str, Any], Any], engine: Any, prompts: list[Any]
) -> None:
    fusion = Fusion.join([micro[0]["tav"], micro[0]["wex"]], (0, 1))
    for sampling in (Sampling(14), Sampling(14, temperature=1.5, top_p=1e-6)):
        made = engine.generate([Request(fusion, prompt, sampling) for prompt in prompts])
        alone = engine.generate([Request(micro[0]["wex"], prompt, Sampling(14)) for prompt in prompts])
        assert [reply.text for reply in made] == [reply.text for reply in alone]
    drawn = [
        engine.generate([Request(fusion, prompts[0], Sampling(14, temperature=3.0, seed=seed))])[0].text
        for seed in (1, 2, 1)
    ]
    assert drawn[0] == drawn[2] != drawn[1]


def test_it_streams_and_leaves_likelihoods_alone(
    micro: tuple[dict[str, Any], Any], engine: Any, prompts: list[Any]
) -> None:
    fusion = Fusion.join([micro[0]["tav"], micro[0]["wex"]])
    said = dict[int, list[str]]()
    requests = [Request(fusion, prompt, Sampling(14)) for prompt in prompts[:3]]
    made = engine.stream(requests, lambda i, text: said.setdefault(i, []).append(text))
    assert {i: texts[-1].strip() for i, texts in said.items()} == {i: reply.text for i, reply in enumerate(made)}
    assert all(len(texts) > 2 for texts in said.values())
    with pytest.raises(PoolError, match=r"leave sampling.choose empty"):
        engine.loglikelihood(requests)


@pytest.mark.parametrize("name", ["transformers", "openvino"])
def test_pack_of_llms_from_the_command_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    if name == "openvino":
        pytest.importorskip("openvino")
    assert (
        main(
            [
                "compare",
                str(root / "recipes/micro-tasks/plain-two.toml"),
                "--methods",
                "best_single,pack_of_llms",
                "--seeds",
                "1",
                "--set",
                f"engine.name={name}",
                "--set",
                "task.dev=6",
                "--set",
                "task.test=10",
                "--run",
                str(tmp_path / "run"),
            ]
        )
        == 0
    )
    assert "not run" not in (tmp_path / "run/table.md").read_text()
    assert (tmp_path / "run/plain-two/pack_of_llms/0/system").is_dir()
