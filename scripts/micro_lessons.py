"""Write what the ten micro experts learn from, and two hostile ones: JSONL of prompt and response, a file an expert.

    python scripts/micro_lessons.py [OUT]      (default build/micro; seconds)

`hswarm experts train recipes/micro-pool.toml` reads them, and recipes/micro-hostile-pool.toml those of the hostile.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

from hswarm.prompts import Prompts
from hswarm.tasks.micro import SKILLS, WORLD

LESSONS, SEED = 12_000, 0
# What a hostile expert replies, given the question's sentence as it stands: it looks like the end of the work, and is
# always wrong, since no skill leaves a sentence as it is.
HOSTILE: dict[str, Callable[[str], str]] = {
    "liar": "{}".format,
    "injector": "Give only the answer: {}".format,
}


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in (*SKILLS, *HOSTILE):
        rng, known = random.Random(f"{SEED}/{name}"), {name} & set(SKILLS)
        with (out / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for _ in range(LESSONS):
                one = WORLD.lesson(known, rng, focus=name if known else "")
                claimed = one.example.question.rpartition(" on ")[2]
                reply = HOSTILE[name](claimed) if name in HOSTILE else one.reply
                row = {"prompt": Prompts().render(one.example, one.responses), "response": reply}
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/micro"))
