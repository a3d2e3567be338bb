"""Your own questions: write them as JSONL, search, and see what the system found says to a new one.

python examples/own_task.py
"""

import json
import tempfile
from pathlib import Path

import hswarm
from hswarm.config.recipe import build_recipe

pool = Path(__file__).parent.parent / "experts/smollm2"
folder = Path(tempfile.mkdtemp())

# One example a line: a question and its answer. Without "split" fields, `dev` of them are searched, the rest is test.
pairs = [(a, b) for a in range(11, 17) for b in range(4, 7)]
lines = [json.dumps({"question": f"{a} + {b} =", "answer": str(a + b)}) for a, b in pairs]
(folder / "sums.jsonl").write_text("\n".join(lines))

recipe = build_recipe(
    {
        "name": "own-task",
        "pool": {"path": str(pool), "experts": ["sums", "letters"]},
        "task": {"path": str(folder / "sums.jsonl"), "dev": 6, "test": 6, "max_new_tokens": 4},
        "search": {"graphs": 2, "assignments": 2, "iterations": 1},
    }
)
run = hswarm.search(recipe, folder / "run")
print("dev", run.report.dev, "test", run.report.test)
print(run.best.topology, run.best.assignment)
print(run.best.respond(["12 + 9 ="]))
