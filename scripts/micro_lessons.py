"""Write what the ten micro experts learn from: JSONL of prompt and response, one file a skill.

    python scripts/micro_lessons.py [OUT]      (default build/micro; seconds)

`hswarm experts train recipes/micro-pool.toml` reads them.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from hswarm.prompts import Prompts
from hswarm.tasks.micro import SKILLS, lesson

LESSONS, SEED = 12_000, 0


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for skill in SKILLS:
        rng = random.Random(f"{SEED}/{skill}")
        with (out / f"{skill}.jsonl").open("w", encoding="utf-8") as file:
            for _ in range(LESSONS):
                one = lesson({skill}, rng, focus=skill)
                row = {"prompt": Prompts().render(one.example, one.responses), "response": one.reply}
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/micro"))
