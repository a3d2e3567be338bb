"""What a search computes when each prefix is read once, beside what it computed when each batch began afresh.

python benchmarks/prefixes.py RECIPE [--set KEY=VALUE] [--name prefixes]
The recipe is searched with the engine openvino twice: with what was read kept over the run, and only within a batch.
Both must end with the same history and answers. Tokens are those that go through the model, prompts and replies. The
last figure is counted from the same calls: batches of one expert, prefixes shared within a batch in blocks of 32
tokens, as GenAI's pipeline has them.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring import publish

import hswarm.session.session
from hswarm.config.recipe import read_recipe
from hswarm.engines.base import Completion, Request, group_batches
from hswarm.experiments.search import search
from hswarm.system.executor import Executor

BLOCK = 32
engines: list[Any] = []
waves: list[list[Request]] = []
seconds: list[float] = []


class Noting(Executor):
    """Notes the engine, the calls of each wave and the processor's time for each batch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        engine: Any = self.engine
        engines.append(engine)
        batches, generate, answering = engine.batches, engine.generate, list[bool]()

        def noted(requests: Sequence[Request]) -> list[list[int]]:
            if not answering:  # the engine itself asks too
                waves.append(list(requests))
            found: list[list[int]] = batches(requests)
            return found

        def timed(requests: Sequence[Request]) -> list[Completion]:
            answering.append(True)
            began = time.process_time()
            made: list[Completion] = generate(requests)
            seconds.append(time.process_time() - began)
            answering.clear()
            return made

        vars(engine).update(batches=noted, generate=timed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--name", default="prefixes", help="of the JSON file in docs/benchmarks")
    given = parser.parse_args()
    vars(hswarm.session.session)["Executor"] = Noting
    figures: dict[str, Any] = {"recipe": Path(given.recipe).name, "set": given.overrides}
    results = []
    for setting in ("run", "batch"):
        waves.clear()
        seconds.clear()
        words = ["engine.name=openvino", f"engine.prefix_cache={setting}", *given.overrides]
        with tempfile.TemporaryDirectory() as folder:
            run = search(read_recipe(given.recipe, words), Path(folder) / "run")
            results.append([(run.path / name).read_bytes() for name in ("history.jsonl", "answers.jsonl")])
            spent = run.report
        figures[f"kept over a {setting}: tokens computed"] = engines[-1].tokens_computed
        figures[f"kept over a {setting}: processor seconds in the engine"] = sum(seconds)
    replies = spent.tokens.completion - spent.calls.generated  # nothing follows the last token of a reply
    earlier = sum(computed(batch, engines[-1]) for wave in waves for batch in batched(wave)) + replies
    figures |= {
        "the same history and answers": results[0] == results[1],
        "calls": spent.calls.generated,
        "tokens of prompts and replies": spent.tokens.prompt + spent.tokens.completion,
        "blocks of 32 within a batch: tokens computed": earlier,
        "kept over a run / blocks within a batch": figures["kept over a run: tokens computed"] / earlier,
    }
    publish(given.name, "each prefix once: at most 0.6 of the tokens", figures)


def batched(wave: Sequence[Request]) -> list[list[Request]]:
    size = engines[-1]._settings.usual_batch()
    return [[wave[i] for i in batch] for batch in group_batches(wave, size, lambda request: request.prompt)]


def computed(batch: Sequence[Request], engine: Any) -> int:
    """Prompt tokens of a batch outside of blocks that an earlier prompt of it has filled."""
    count, filled = 0, set[tuple[int, ...]]()
    for prompt in engine._chat.encode([request.prompt for request in batch]):
        beginnings = [tuple(prompt[:end]) for end in range(BLOCK, len(prompt), BLOCK)]
        count += len(prompt) - BLOCK * sum(beginning in filled for beginning in beginnings)
        filled.update(beginnings)
    return count


if __name__ == "__main__":
    main()
