"""A run whose every number can be worked out by hand.

Three toy experts, each able to do its own step (difficulty 0.2) and nothing else; whoever is asked for a step of
difficulty 0.05 can do it. FIRST, SECOND, THIRD are the experts in the planted order.
"""

import json
from pathlib import Path
from typing import Any

from hswarm.config.recipe import build_recipe
from hswarm.core.topology import Topology
from hswarm.engines.base import EngineSettings
from hswarm.engines.toy import toy_pool
from hswarm.experiments.search import search
from hswarm.runs.directory import Run
from hswarm.system.system import System
from hswarm.tasks.toy import planted_order

FIRST, SECOND, THIRD = planted_order(3)
EASY, HARD = 0.05, 0.2


def question(*steps: int, difficulty: Any = HARD) -> dict[str, Any]:
    listed = " ".join(map(str, steps))
    return {
        "question": f"toy: steps {listed}; difficulty {' '.join([str(difficulty)] * len(steps))}",
        "answer": f"done {listed}",
    }


QUESTIONS = [
    question(FIRST),  # one expert can
    question(SECOND),  # one expert can
    question(FIRST, SECOND),  # the first two together
    question(FIRST, SECOND, THIRD),  # all three together
    question(THIRD, difficulty=EASY),  # everybody can
]


def toy_system(topology: Topology, experts: list[int]) -> System:
    """Experts by their number in the toy pool."""
    pool = toy_pool(3).experts
    return System(topology, tuple(pool[i] for i in experts), base="toy", engine=EngineSettings("toy"))


def hand_run(folder: Path, system: System, test: list[dict[str, Any]] = QUESTIONS, **sections: Any) -> Run:
    """A finished run in which `system` was found. Its dev are the first four questions of `test`."""
    data = folder / "questions.json"
    data.write_text(json.dumps({"dev": QUESTIONS[:4], "test": test}))
    content = {
        "name": "hand",
        "task": {"path": str(data), "dev": 4, "test": len(test)},
        "engine": {"name": "toy"},
        "search": {"method": "hswarm", "nodes": 3, "graphs": 2, "assignments": 2, "iterations": 2, "patience": 2},
    }
    run = search(build_recipe(content | sections), folder / "run")
    system.save(run.path / "best")
    return Run.open(run.path)
