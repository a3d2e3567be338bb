"""Your own scorer: a function from examples and responses to scores. Here: how near a number is, not just whether.

python examples/own_scorer.py

A recipe names it as `task.scorer = "module:function"`, here this very file's.
"""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import hswarm
from hswarm.config.recipe import build_recipe
from hswarm.scorers.base import Score


def near(examples: Sequence[hswarm.Example], responses: Sequence[str]) -> list[Score]:
    """1 for the number itself, less the further off; `parsed` False where there is no number."""
    scores = []
    for example, response in zip(examples, responses, strict=True):
        found = re.findall(r"-?\d+", response)
        off = abs(int(found[-1]) - int(example.answer)) if found else 0
        scores.append(Score(1 / (1 + off) if found else 0.0, bool(found), found[-1] if found else ""))
    return scores


recipe = build_recipe(
    {
        "name": "own-scorer",
        "pool": {"path": str(Path(__file__).parent.parent / "experts/smollm2"), "experts": ["sums", "letters"]},
        "task": {
            "name": "reasoning_gym",
            "datasets": ["chain_sum"],
            "scorer": "__main__:near",
            "dev": 6,
            "test": 6,
            "max_new_tokens": 6,
        },
        "search": {"graphs": 2, "assignments": 2, "iterations": 1},
    }
)
run = hswarm.search(recipe, Path(tempfile.mkdtemp()) / "run")
print(run.report.dev, run.report.test, run.report.best_single)
