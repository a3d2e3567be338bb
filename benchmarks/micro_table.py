"""Claim: each micro expert knows its own skill, none solves a composite task alone, and the base knows no skill.

Two more columns: lessons held out from training, asked alone and with responses, many of them wrong or contradicting.

python benchmarks/micro_table.py      (two minutes on 2 cores; writes docs/micro-pool.json and the table in
                                       docs/micro-pool.md)

Greedy, strict exact match, questions whose sentences occur in no lesson. Rival: the base without an expert.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import count, islice

import numpy as np
from measuring import ROOT, fill
from pool_table import cell, rows

from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.engines.transformers import TransformersEngine
from hswarm.experts.adapter import Adapter
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.prompts import Prompts
from hswarm.scorers.equality import same
from hswarm.scorers.exact import stated_answer
from hswarm.tasks.micro import SKILLS, WORLD
from hswarm.tasks.relay import TrainingExample
from hswarm.tasks.task import Example

SEED, QUESTIONS = 5, 100
COMPOSITE = ("tav+lun+wex+zor", "qib+gul", "ras+nix+tav", "yam+vop+lun+qib")
MARK = "<!-- table: benchmarks/micro_table.py -->"


def lessons(name: str, responses: bool) -> list[TrainingExample]:
    """QUESTIONS lessons that expert `name` was not trained on, all with responses or all without."""
    rng, known = random.Random(f"{SEED}/{name}/table"), {name} & set(SKILLS)
    drawn = (WORLD.lesson(known, rng, focus=name if known else "") for _ in count())
    return list(islice((one for one in drawn if bool(one.responses) == responses), QUESTIONS))


def main() -> None:
    pool = open_pool(PoolSettings(path=str(ROOT / "experts/micro/pool"), base=str(ROOT / "experts/micro/base")))
    engine = TransformersEngine(EngineSettings(dtype="float32", batch=64), pool.base)
    tasks = {name: WORLD.generate([name], QUESTIONS, SEED) for name in (*SKILLS, *COMPOSITE)}
    some = pool.experts[0]
    assert isinstance(some, Adapter)
    table = {}
    heard = {"lessons alone": False, "lessons with responses": True}
    for expert in (Adapter.from_vector("base", np.zeros_like(some.vector), some.form), *pool.experts):
        asked: list[tuple[Example, Sequence[str], str]] = []
        asked += [(example, (), example.answer) for examples in tasks.values() for example in examples]
        asked += [row for responses in heard.values() for row in lessons(expert.name, responses)]
        calls = [
            Request(expert, Prompts().render(example, said), Sampling(max_new_tokens=14)) for example, said, _ in asked
        ]
        right = [
            float(same(stated_answer(reply.text, answer) or "", answer))
            for (_, _, answer), reply in zip(asked, engine.generate(calls), strict=True)
        ]
        parts = np.array(right).reshape(-1, QUESTIONS)
        table[expert.name] = {name: cell(scores.tolist()) for name, scores in zip([*tasks, *heard], parts, strict=True)}
    whole = {
        "questions": QUESTIONS,
        "seed": SEED,
        "engine": engine.fingerprint,
        "digests": {expert.name: expert.digest for expert in pool.experts},
        "alone": table,
    }
    (ROOT / "docs/micro-pool.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    fill(ROOT / "docs/micro-pool.md", MARK, "\n".join(rows(table)))


if __name__ == "__main__":
    main()
