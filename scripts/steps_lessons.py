"""Write what the experts of everyday steps learn from: JSONL of prompt and response, a file an expert.

    python scripts/steps_lessons.py [OUT]      (default build/steps; seconds)

`start` knows the plain steps and hands on what it cannot do; `hswarm experts train recipes/steps-start.toml` reads it.
The others know one step more, and train from there: recipes/steps-pool.toml.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from hswarm.prompts import Prompts
from hswarm.tasks.steps import SKILLS, WORLD

LESSONS, SEED = 4_000, 0


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in ("start", *SKILLS):
        rng, known = random.Random(f"{SEED}/{name}"), {name} & set(SKILLS)
        with (out / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for _ in range(LESSONS):
                one = WORLD.lesson(known, rng, focus=name if known else "")
                row = {"prompt": Prompts().render(one.example, one.responses), "response": one.reply}
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/steps"))
