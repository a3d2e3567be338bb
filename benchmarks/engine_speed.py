"""Engines on one set of requests: tokens a second beside OpenVINO's raw pipeline and plain transformers generate.

python benchmarks/engine_speed.py RECIPE [--questions 40] [--tokens 16] [--engines transformers,openvino]
Every rival reads the same prompts and writes the same number of new tokens (stops are ignored nowhere: replies end
where they end). Each runs twice, the second run counts. "switch" is the time that changing the expert takes, as a share
of a batch.
"""

import argparse
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import clock, publish

from hswarm.config.recipe import read_recipe
from hswarm.engines import open_engine
from hswarm.engines.base import Completion, Engine, EngineSettings, Request, Sampling
from hswarm.experts.pool import open_pool
from hswarm.tasks import load_task


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--engines", default="transformers,openvino")
    given = parser.parse_args()
    recipe = read_recipe(given.recipe)
    pool, task = open_pool(recipe.pool), load_task(recipe.task)
    examples = [*task.dev, *task.test][: given.questions]
    prompts = [recipe.prompts.render(example) for example in examples]
    experts, sampling = pool.experts[:2], Sampling(given.tokens)
    requests = [[Request(expert, prompt, sampling) for prompt in prompts] for expert in experts]
    figures: dict[str, Any] = {"questions": len(prompts), "new tokens at most": given.tokens, "dtype": given.dtype}
    for name in given.engines.split(","):
        engine = open_engine(EngineSettings(name, dtype=given.dtype, prefix_cache="batch"), pool.base)
        engine.generate(requests[0])
        seconds, made = clock(partial(engine.generate, requests[0]))
        figures[f"{name}: tokens/s"] = tokens_of(made) / seconds
        one = [[each[0]] for each in requests]
        apart, _ = clock(partial(each, engine, [one[i % 2] for i in range(8)]))
        engine.generate(one[1])
        same, _ = clock(partial(each, engine, [one[1]] * 8))
        figures[f"{name}: switch, s"] = max(0.0, (apart - same) / 8)
        figures[f"{name}: switch, share of a step"] = figures[f"{name}: switch, s"] / seconds
        if name == "transformers":
            figures["plain generate, batch 10, file order: tokens/s"] = plain(engine, prompts, given.tokens)
        if name == "openvino":
            figures["raw pipeline: tokens/s"] = raw(engine, requests[0])
            figures["raw pipeline with the expert: tokens/s"] = raw(engine, requests[0], with_expert=True)
    if {"transformers", "openvino"} <= set(given.engines.split(",")):
        figures["openvino / raw pipeline"] = figures["openvino: tokens/s"] / figures["raw pipeline: tokens/s"]
        figures["openvino / transformers engine"] = figures["openvino: tokens/s"] / figures["transformers: tokens/s"]
    if "transformers" in given.engines:
        figures["transformers engine / plain generate"] = (
            figures["transformers: tokens/s"] / figures["plain generate, batch 10, file order: tokens/s"]
        )
    publish("engine_speed", "an engine is nearly as fast as its raw pipeline", figures)


def each(engine: Engine, batches: Sequence[Sequence[Request]]) -> None:
    for batch in batches:
        engine.generate(batch)


def tokens_of(completions: Sequence[Completion]) -> int:
    return sum(made.prompt_tokens + made.completion_tokens for made in completions)


def plain(engine: Any, prompts: Sequence[str], tokens: int) -> float:
    """The engine's own model (its expert in place) by generate, ten prompts at a time, in file order."""
    import torch

    tokenizer, model = engine._chat.tokenizer, engine._model
    tokenizer.padding_side = "left"
    chats = engine._chat.encode(prompts)

    def work() -> int:
        count = 0
        for start in range(0, len(chats), 10):
            inputs = tokenizer.pad({"input_ids": chats[start : start + 10]}, return_tensors="pt")
            with torch.inference_mode():
                output = model.generate(
                    **inputs, max_new_tokens=tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id
                )
            new = output[:, inputs["input_ids"].shape[1] :].tolist()
            made = [engine._chat.completion(row, len(c)) for row, c in zip(new, chats[start : start + 10], strict=True)]
            count += tokens_of(made)
        return count

    work()
    seconds, count = clock(work)
    return count / seconds


def raw(engine: Any, requests: Sequence[Request], with_expert: bool = False) -> float:
    """OpenVINO GenAI's pipeline on the same model, all prompts at once, with the requests' expert or none."""
    import openvino as ov
    import openvino_genai as genai

    precision = {"float32": "f32", "bfloat16": "bf16"}[engine._dtype]
    scheduler = genai.SchedulerConfig()
    scheduler.cache_size, scheduler.max_num_batched_tokens = 1, 4096
    properties: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "KV_CACHE_PRECISION": precision}
    config = genai.GenerationConfig(max_new_tokens=requests[0].sampling.max_new_tokens)
    config.stop_token_ids = set(engine._chat.stops)
    if with_expert:
        expert: Any = requests[0].expert
        with tempfile.TemporaryDirectory() as folder:
            expert.write(Path(folder) / "expert")
            adapter = genai.Adapter(Path(folder) / "expert" / "adapter_model.safetensors")
        config.adapters = properties["adapters"] = genai.AdapterConfig([(adapter, expert.form.scaling(""))])
    pipeline = genai.ContinuousBatchingPipeline(engine._folder, scheduler, "CPU", properties)
    prompts = engine._chat.encode([request.prompt for request in requests])
    chats = [ov.Tensor(np.array([ids], dtype=np.int64)) for ids in prompts]
    pipeline.generate(chats, [config] * len(chats))
    seconds, made = clock(lambda: pipeline.generate(chats, [config] * len(chats)))
    return float(
        sum(chat.shape[1] + len(result.m_generation_ids[0]) for chat, result in zip(chats, made, strict=True)) / seconds
    )


if __name__ == "__main__":
    main()
