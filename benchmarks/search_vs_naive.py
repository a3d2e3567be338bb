"""A whole search beside the naive way, on the same pool, task, seed and systems.

python benchmarks/search_vs_naive.py RECIPE [--share 0.3] [--set KEY=VALUE] [--name search_vs_naive]
The search runs as `hswarm search` does, set-up and test included, and every system it puts to questions is noted. The
naive way (a strategy of our own, after what is usual) has the same systems answer the same questions: base and adapter
from disk for every node of every system, three prompts a batch in file order, the paper's prompt order, nothing reused.
It is measured on systems drawn at random until they make `--share` of the calls, and scaled by calls to all of them;
writing the adapters to disk is not counted against it.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measuring import clock, publish

import hswarm.experiments.search
import hswarm.session.session
from hswarm.config.recipe import Recipe, read_recipe
from hswarm.engines.base import Completion, Request
from hswarm.experts.base import find_base
from hswarm.session.session import Session
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks.task import Example
from hswarm.training.train import cpu_halves

BATCH = 3
asked: list[tuple[System, Sequence[Example]]] = []
answering: list[float] = []
opening: list[float] = []

load = Session.load  # opened() stands in its place


class Noting(Executor):
    """Notes which systems answer which questions, and how long the engine takes over a batch."""

    def run(
        self, systems: Sequence[Any], examples: Sequence[Example], step: str, *more: Any, **named: Any
    ) -> list[list[list[Completion]]]:
        asked.extend((system, examples) for system in systems)
        if "generate" not in vars(self.engine):
            generate = self.engine.generate

            def timed(requests: Sequence[Request]) -> list[Completion]:
                seconds, made = clock(lambda: generate(requests))
                answering.append(seconds)
                return made

            vars(self.engine)["generate"] = timed
        return super().run(systems, examples, step, *more, **named)


def opened(recipe: Recipe) -> Session:
    seconds, parts = clock(lambda: load(recipe))
    opening.append(seconds)
    return parts


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--name", default="search_vs_naive", help="of the JSON file in docs/benchmarks")
    given = parser.parse_args()
    recipe, rng = read_recipe(given.recipe, ["search.method=hswarm", *given.overrides]), np.random.default_rng(0)
    vars(hswarm.session.session)["Executor"] = Noting
    setattr(Session, "load", staticmethod(opened))  # noqa: B010  mypy forbids to assign to it
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run = hswarm.experiments.search.search(recipe, Path(folder) / "run")
        ours = time.perf_counter() - began
        spent = run.report.calls
        total, measured, rival = sum(calls(*each) for each in asked), 0, 0.0
        for i in rng.permutation(len(asked)):
            if measured >= given.share * total:
                break
            system, examples = asked[i]
            rival += naive(system, examples, Path(folder))[0]
            measured += calls(system, examples)
    publish(
        given.name,
        "a search is at least 10 times as fast as the naive way",
        {
            "recipe": Path(given.recipe).name,
            "set": given.overrides,
            "calls": total,
            "generated": spent.generated,
            "ours, s": ours,
            "of it in the engine, s": sum(answering),
            "of it to open task, pool and engine, s": sum(opening),
            "naive, s": rival * total / measured,
            "times": rival * total / measured / ours,
            "share of the naive calls that was measured": measured / total,
        },
    )


def calls(system: System, examples: Sequence[Example]) -> int:
    return system.calls * len(examples)


def naive(system: System, examples: Sequence[Example], folder: Path, batch: int = BATCH) -> tuple[float, int]:
    """The seconds that one system takes over `examples`, reloading every node, and the tokens read and written."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = torch.bfloat16 if cpu_halves() else torch.float32  # what is faster here

    prompts_of, tokens = replace(system.prompts, layout="paper"), 0
    replies: dict[int, list[str]] = {}
    for expert in system.experts:
        if not (folder / expert.digest).exists():
            expert.write(folder / expert.digest)
    began = time.perf_counter()
    for node in system.topology.order:
        source = find_base(system.base)
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left")
        base = AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
        model = PeftModel.from_pretrained(base, folder / system.nodes[node].digest).eval()
        prompts = [
            prompts_of.render(example, [replies[u][e] for u in system.topology.predecessors(node)])
            for e, example in enumerate(examples)
        ]
        replies[node] = []
        for start in range(0, len(prompts), batch):
            chats = [
                tokenizer.apply_chat_template(
                    [{"role": "user", "content": p}], tokenize=False, add_generation_prompt=True
                )
                for p in prompts[start : start + batch]
            ]
            inputs = tokenizer(chats, return_tensors="pt", padding=True, add_special_tokens=False)
            with torch.inference_mode():
                output = model.generate(
                    **inputs,
                    max_new_tokens=system.sampling.max_new_tokens,
                    do_sample=False,
                    pad_token_id=tokenizer.pad_token_id,
                )
            written = output[:, inputs["input_ids"].shape[1] :]
            tokens += int(inputs["attention_mask"].sum()) + int((written != tokenizer.pad_token_id).sum())
            replies[node] += tokenizer.batch_decode(written, skip_special_tokens=True)
    return time.perf_counter() - began, tokens


if __name__ == "__main__":
    main()
