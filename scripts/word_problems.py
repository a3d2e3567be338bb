"""Write word problems with large numbers, for recipes/words.toml: the answer is the number.

python scripts/word_problems.py [FILE]      (default build/words.json; a second)
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

DEV, TEST, SEED = 60, 200, 0
_NAMES = ("Anna", "Ben", "Carla", "David", "Emma", "Felix", "Greta", "Hugo", "Ines", "Jonas")
_THINGS = ("apples", "books", "coins", "stamps", "marbles", "pencils", "shells", "cards", "nails", "seeds")
_PROBLEMS = (
    "{name} has {a} {things} and buys {b} more. How many {things} does {name} have now?",
    "There are {a} {things} in one box and {b} in another. How many {things} are there in both?",
    "{name} had {c} {things} and gave {b} of them away. How many {things} are left?",
    "A shop had {c} {things} and sold {b}. How many {things} does it still have?",
    "Each of {d} boxes holds {e} {things}. How many {things} are there in all?",
    "{name} packs {e} {things} a day. How many {things} does {name} pack in {d} days?",
)


def problem(rng: random.Random) -> tuple[str, str]:
    """A question and its answer."""
    kind = rng.randrange(len(_PROBLEMS))
    a, b, more, d, e = (rng.randint(*ends) for ends in ((120, 899), (120, 899), (101, 899), (12, 48), (13, 98)))
    answer = (a + b, more, d * e)[kind // 2]
    words = {"name": rng.choice(_NAMES), "things": rng.choice(_THINGS)}
    return _PROBLEMS[kind].format(**words, a=a, b=b, c=b + more, d=d, e=e), str(answer)


def main(path: Path) -> None:
    rng, answers = random.Random(SEED), dict[str, str]()
    while len(answers) < DEV + TEST:
        answers.update([problem(rng)])
    rows = [{"question": question, "answer": answer} for question, answer in answers.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"dev": rows[:DEV], "test": rows[DEV:]}, indent=0), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/words.json"))
