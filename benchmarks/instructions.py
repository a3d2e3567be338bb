"""Instructions for the first node, written by the pool's own model from failures on dev, against more growth.

python scripts/word_problems.py; python benchmarks/instructions.py [--run runs/instructions] [--written 8]

Writes docs/benchmarks/instructions.json. The pool's base model writes them from dev questions that the system of
recipes/words.toml failed; no test question is shown. They are raced on dev: all on 8 questions, the best three on all.
The control goes on with growth for as many calls. Differences on test are paired by question.
"""

import argparse
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from measuring import ROOT, finished, publish
from studies import interval

from hswarm.config.recipe import read_recipe
from hswarm.engines.base import Request, Sampling
from hswarm.experts.adapter import Adapter
from hswarm.runs.answers import read_answers
from hswarm.runs.directory import Run
from hswarm.session.evaluation import Evaluation
from hswarm.session.session import Session
from hswarm.session.settings import BudgetSettings
from hswarm.system.cache import Cache
from hswarm.system.system import System

FEW, BEST, SHOWN = 8, 3, 3


def main(path: Path, written: int) -> None:
    run = finished(read_recipe(ROOT / "recipes/words.toml"), path)
    free = run.recipe.model_copy(update={"budget": BudgetSettings()})
    session = Session.load(free)
    with closing(Cache()) as cache:
        asking = replace(session, cache=cache)
        texts = instructions(run, asking, written)
        variants = [with_instruction(run.best, text) for text in texts]
        few = [float(one.utility) for one in on_dev(asking, variants, FEW)]
        going = [variants[i] for i in np.argsort(few)[::-1][:BEST]]
        whole = on_dev(asking, [run.best, *going], None)
        best = max(whole[1:], key=lambda one: float(one.utility))
        calls = len(texts) * (1 + FEW) + len(going) * (len(asking.evaluator.dev) - FEW)  # a written one, then raced
        more = free.model_copy(
            update={
                "budget": BudgetSettings(calls=calls),
                "search": replace(free.search, start=str(path.resolve())),
            }
        )
        grown = finished(more, path.with_name(f"{path.name}-more")).best
        tests = asking.evaluator.final([run.best, best.system, grown])
    old, new, control = (np.array(one.scores, dtype=float) for one in tests)
    publish(
        "instructions",
        "Instructions written by the pool's own model from failures on dev, against more growth at equal calls",
        {
            "calls": calls,
            "dev": {"system found": float(whole[0].utility), "best instruction": float(best.utility)},
            "test": {name: float(row.mean()) for name, row in zip(NAMES, (old, new, control), strict=True)},
            "instruction less system found": [float((new - old).mean()), *interval((new - old)[None, :])],
            "instruction less more growth": [float((new - control).mean()), *interval((new - control)[None, :])],
            "best instruction": best.system.prompts.first,
            "written": texts,
        },
    )


NAMES = ("system found", "best instruction", "more growth")


def instructions(run: Run, session: Session, count: int) -> list[str]:
    """Texts by the pool's base, each time shown other failures on dev."""
    failed = [line for line in read_answers(run) or [] if line.score is not None and line.score < 0.5]
    expert = next(one for one in session.pool.experts if isinstance(one, Adapter))
    base = expert.with_weights(np.zeros_like(expert.vector), "base")  # the experts themselves write numbers only
    requests = []
    for i in range(count):
        shown = [failed[(SHOWN * i + k) % len(failed)] for k in range(SHOWN)]
        cases = [
            f"Question: {one.question}\nWrong reply: {one.replies[0]}\nRight answer: {one.answer}" for one in shown
        ]
        prompt = (
            "A model replied wrongly to these questions:\n\n"
            + "\n\n".join(cases)
            + "\n\nWrite one short instruction for the model, so that it replies rightly to questions like these."
        )
        requests.append(Request(base, prompt, Sampling(40, temperature=0.8, seed=i)))
    made = session.engine.generate(requests)
    return [" ".join(one.text.split()) or "Answer the question." for one in made]


def with_instruction(system: System, text: str) -> System:
    return replace(system, prompts=replace(system.prompts, first=text))


def on_dev(session: Session, systems: list[System], questions: int | None) -> list[Evaluation]:
    places = None if questions is None else list(range(questions))
    return list(session.evaluator.evaluate(systems, f"dev {questions}", places))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/instructions"))
    parser.add_argument("--written", type=int, default=8)
    arguments = parser.parse_args()
    main(arguments.run, arguments.written)
