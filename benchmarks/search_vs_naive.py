"""Evaluating a step's systems beside the naive way, on the same pool, questions, seed and topologies.

python benchmarks/search_vs_naive.py RECIPE [--systems 3] [--nodes 4] [--questions 6] [--tokens 8] [--engine auto]
The naive way (a strategy of our own, after what is usual): base and adapter from disk for every node of every system,
three prompts a batch in file order, the paper's layout, nothing reused. Ours starts with its engine closed, too.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from measuring import publish

from hswarm.config import read_recipe
from hswarm.core.decode import g_decode
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.execution.execute import Executor
from hswarm.execution.system import System
from hswarm.experts.base import find_base
from hswarm.experts.pool import open_pool
from hswarm.tasks import load_task

BATCH = 3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    for name, default in (("systems", 3), ("nodes", 4), ("questions", 6), ("tokens", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--engine", default="auto")
    given = parser.parse_args()
    recipe, rng = read_recipe(given.recipe), np.random.default_rng(0)
    pool, examples = open_pool(recipe.pool), load_task(recipe.task).dev[: given.questions]
    topologies = [g_decode(rng.uniform(size=(given.nodes,) * 2), rng) for _ in range(given.systems)]
    members = tuple(pool.experts[: given.nodes])
    systems = [System(t, members, recipe.prompts, pool.base, sampling=Sampling(given.tokens)) for t in topologies]
    began = time.perf_counter()
    executor = Executor(open_engine(EngineSettings(given.engine), pool.base))
    executor.run(systems, examples, "bench")
    ours = time.perf_counter() - began
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for expert in members:
            expert.write(Path(folder) / expert.name)
        for system in systems:
            naive(replace(system, prompts=replace(system.prompts, layout="paper")), examples, Path(folder))
    rival = time.perf_counter() - began
    publish("search_vs_naive", "a step at least 10 times as fast as the naive way", {
        "systems": given.systems, "nodes": given.nodes, "questions": len(examples),
        "engine": executor.engine.fingerprint,
        "naive, s": rival, "ours, s": ours, "times": rival / ours,
        "calls": executor.ledger.requested, "generated": executor.ledger.generated,
    })  # fmt: skip


def naive(system, examples, folder):
    """The replies of one system, every node loaded anew."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    replies = {}
    for node in system.topology.order:
        source = find_base(system.base)
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left")
        base = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16)
        model = PeftModel.from_pretrained(base, folder / system.experts[node].name).eval()
        prompts = [
            system.prompts.render(example, [replies[u][e] for u in system.topology.predecessors(node)])
            for e, example in enumerate(examples)
        ]
        replies[node] = []
        for start in range(0, len(prompts), BATCH):
            chats = [
                tokenizer.apply_chat_template(
                    [{"role": "user", "content": p}], tokenize=False, add_generation_prompt=True
                )
                for p in prompts[start : start + BATCH]
            ]
            inputs = tokenizer(chats, return_tensors="pt", padding=True, add_special_tokens=False)
            with torch.inference_mode():
                output = model.generate(**inputs, max_new_tokens=system.sampling.max_new_tokens, do_sample=False,
                                        pad_token_id=tokenizer.pad_token_id)  # fmt: skip
            replies[node] += tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return replies


if __name__ == "__main__":
    main()
