"""A judge behind a real server is asked while experts behind it still answer, and nothing else changes."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hswarm.config.recipe import Recipe, build_recipe
from hswarm.core.topology import Topology
from hswarm.experiments.search import resume, search
from hswarm.scorers import task_scorer
from hswarm.session.session import Session
from hswarm.system.scoring import score_replies
from hswarm.system.system import System
from tests.engines.served import HSWARM
from tests.engines.test_bad_api import Api, judged, serving

_LONG = 30  # seconds, after which a test that waits has failed


@pytest.fixture
def server() -> Iterator[Api]:
    with serving() as made:
        yield made


def slowly(api: Api, **task: Any) -> Recipe:
    """A judged recipe whose experts answer one question after the other."""
    content = judged(api).model_dump(mode="json")
    for expert in content["pool"]["remote"]:
        expert["concurrency"] = 1
    content["task"] |= task
    return build_recipe(content)


def systems(parts: Session) -> list[System]:
    first, second = parts.pool.experts
    return [
        parts.evaluator.system(Topology.chain(2), [first, second]),
        parts.evaluator.system(Topology.chain(2), [second, first]),
        parts.evaluator.alone(first),
    ]


def test_the_judge_begins_before_the_last_answer_and_scores_and_counts_are_as_without(server: Api) -> None:
    """The server holds the last answers back until the judge was asked: as at first, some ratings are unreadable."""
    began, in_time = threading.Event(), list[bool]()

    def wait(prompt: str, count: int, model: str) -> str:
        if model == "judge":
            began.set()
        elif not in_time and sum("Right answer" not in asked for asked in server.asked) > 40:
            in_time.append(began.wait(_LONG))
        return ""

    apart = Session.load(slowly(server))
    made = apart.executor.run(systems(apart), apart.evaluator.dev, "s")
    scorer = task_scorer(apart.task)
    rows = score_replies(scorer, apart.executor, systems(apart), made, apart.evaluator.dev, "s")
    asked = dict(server.asked)
    server.asked.clear()
    server.fault = wait
    together = Session.load(slowly(server))
    found = together.evaluator.evaluate(systems(together), "s")
    assert in_time == [True]
    assert [one.scores.tolist() for one in found] == [[score.value for score in row] for row in rows]
    assert asdict(together.executor.ledger) == asdict(apart.executor.ledger)
    assert dict(server.asked) == asked  # no call more, no call twice
    assert len({value for one in found for value in one.scores}) > 1


def test_a_call_of_the_judge_that_fails_is_asked_again_and_counted_once(server: Api) -> None:
    server.fault = lambda prompt, count, model: "500" if model == "judge" and ".3:" in prompt else ""
    parts = Session.load(slowly(server))
    found = parts.evaluator.evaluate(systems(parts)[2:], "s")
    assert np.isnan(found[0].scores).sum() == found[0].failed == parts.executor.ledger.failed / 2  # two askings


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_ended_while_the_judge_is_asked_and_resumed_is_never_ended(
    server: Api, tmp_path: Path, how: signal.Signals
) -> None:
    whole = search(slowly(server), tmp_path / "whole")
    server.asked.clear()
    process: list[subprocess.Popen[bytes]] = []
    judge_asked, ended = threading.Event(), threading.Event()

    def end(prompt: str, count: int, model: str) -> str:
        if model == "judge" and not ended.is_set():
            judge_asked.set()
            return "slow"
        if judge_asked.is_set() and not ended.is_set() and process:
            ended.set()
            os.kill(process[0].pid, how)
        return ""

    server.fault = end
    (tmp_path / "recipe.toml").write_text(slowly(server).to_toml())
    command = [*HSWARM, "search", str(tmp_path / "recipe.toml"), "--run", str(tmp_path / "broken")]
    process.append(subprocess.Popen(command, stderr=subprocess.PIPE))
    said = process[0].communicate(timeout=300)[1]
    assert process[0].returncode != 0
    assert b"Traceback" not in said
    assert ended.is_set()
    resumed = resume(tmp_path / "broken")
    assert (resumed.path / "history.jsonl").read_bytes() == (whole.path / "history.jsonl").read_bytes()
    assert resumed.report == whole.report.model_copy(update={"wall_s": resumed.report.wall_s})
