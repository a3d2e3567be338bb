"""Experts in a ring, asked again until an exit test says enough, against the same ring unrolled to a chain.

python benchmarks/cycles.py [--questions 200]

Writes docs/benchmarks/cycles.json. Questions of the micro pool name two to four of four skills, in one order or in one
of six. A ring asks its experts in turn, each hearing the reply before; it ends after four rounds, or as soon as an exit
test says so: no skill is left to do ("done", a rule that knows the task), or a whole round changed nothing
("settled"). The chain is what the search can build already; differences are to that of two rounds, paired by question.
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from measuring import ROOT, publish
from studies import interval

from hswarm.config.recipe import Recipe, read_recipe
from hswarm.core.topology import Topology
from hswarm.session.session import Session
from hswarm.tasks.micro import WORLD
from hswarm.tasks.task import Example

RING = ("tav", "lun", "wex", "zor")
TASKS = {
    "one order": ("tav+lun+wex+zor",),
    "six orders": (
        "tav+lun+wex+zor",
        "zor+wex+lun+tav",
        "lun+zor+tav+wex",
        "wex+tav+zor+lun",
        "zor+tav+lun+wex",
        "wex+lun+tav+zor",
    ),
}
ROUNDS = 4
Exit = Callable[[Sequence[str]], bool]  # of the replies so far
EXITS: dict[str, Exit] = {
    "done": lambda said: " on " not in said[-1],
    "settled": lambda said: len(said) > len(RING) and said[-1] == said[-1 - len(RING)],
}


def main(questions: int) -> None:
    recipe = read_recipe(ROOT / "recipes/micro.toml")
    found: dict[str, object] = {}
    with Session.open(recipe) as session:
        for task, datasets in TASKS.items():
            examples = WORLD.generate(datasets, questions, 1)
            replies = unrolled(session, recipe, examples)
            right = np.array([[text == e.answer for text, e in zip(row, examples, strict=True)] for row in replies])
            for rounds in range(1, ROUNDS + 1):
                length = rounds * len(RING)
                found[f"{task}, chain of {length}"] = [float(right[length - 1].mean()), float(length)]
            two = right[2 * len(RING) - 1].astype(float)
            for name, test in EXITS.items():
                ends = np.array([ended([row[e] for row in replies], test) for e in range(questions)])
                scores = right[ends - 1, np.arange(questions)].astype(float)
                less = [float((scores - two).mean()), *interval((scores - two)[None, :])]
                found[f"{task}, ring, exit '{name}'"] = [float(scores.mean()), float(ends.mean()), less]
    publish(
        "cycles", "A ring with an exit test, and unrolled: [score, calls an answer, difference and interval]", found
    )


def unrolled(session: Session, recipe: Recipe, examples: Sequence[Example]) -> list[list[str]]:
    """What each node of the chain of all rounds replies, [node][question]: a ring's replies up to its exit."""
    evaluator = session.evaluator
    experts = [session.pool.experts[session.pool.names.index(name)] for name in RING] * ROUNDS
    system = evaluator.system(Topology.chain(len(experts)), experts)
    (nodes,) = session.executor.run([system], examples, "chain")
    return [[reply.text for reply in node] for node in nodes]


def ended(said: Sequence[str], test: Exit) -> int:
    """After how many calls the ring ends."""
    return next((count for count in range(1, len(said) + 1) if test(said[:count])), len(said))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200)
    main(parser.parse_args().questions)
