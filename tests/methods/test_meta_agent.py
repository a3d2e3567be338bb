"""The meta-agent asks a real judge: a SmolLM2 expert that `hswarm serve` serves, over the API that scores the task."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hswarm import Topology
from hswarm.config.recipe import Recipe, build_recipe
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.experiments.search import search
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.system.system import System
from tests.engines.served import HSWARM, Server

pytest.importorskip("openai")
pytest.importorskip("starlette")
pytestmark = pytest.mark.model


@pytest.fixture
def judge(root: Path, tmp_path: Path) -> Iterator[Server]:
    """An expert that was taught to compare; asked for a rating it gives one, asked for a design it draws an edge."""
    (expert,) = open_pool(PoolSettings(path=str(root / "experts/smollm2"), experts=("logic",)), least=1).experts
    engine = EngineSettings("transformers", dtype="float32")
    System(Topology.chain(1), (expert,), base=expert.base, engine=engine, sampling=Sampling(40)).save(tmp_path / "own")
    made = Server(*HSWARM, "serve", tmp_path / "own", "--name", "judge")
    made.start()
    yield made
    made.kill()


def recipe(root: Path, url: str) -> Recipe:
    return build_recipe(
        {
            "name": "judged",
            "pool": {
                "path": str(root / "experts/micro/pool"),
                "base": str(root / "experts/micro/base"),
                "experts": ["tav", "wex", "zor"],
            },
            "engine": {"dtype": "float32"},
            "task": {
                "name": "micro",
                "datasets": ["tav+wex"],
                "dev": 2,
                "test": 1,
                "max_new_tokens": 14,
                "scorer": "judge",
                "scorer_options": {"model": "judge", "url": url},
            },
            "search": {"method": "meta_agent", "start_on_test": "none"},
            "methods": {"meta_agent": {"designer": "judge", "designs": 3, "max_new_tokens": 40, "temperature": 0.0}},
        }
    )


@pytest.mark.slow
def test_a_live_judge_designs_and_scores(root: Path, tmp_path: Path, judge: Server) -> None:
    run = search(recipe(root, judge.url), tmp_path / "run")
    with closing(sqlite3.connect(run.path / "cache.sqlite")) as database:
        replies = dict(database.execute("SELECT step, text FROM calls WHERE step LIKE 'design %'"))
    # The micro experts cannot write an edge: these replies are the judge's.
    assert any("->" in text for text in replies.values()), replies
    steps = [line.scored.step for line in run.history()]
    assert steps[:2] == ["alone", "archive"]
    assert any(step.startswith("turn ") for step in steps), "no design of the judge was a system"
    assert run.report.dev.score == 1.0  # the expert rates everything 10
    assert run.report.calls.failed == 0
