"""Remote experts and judges against the project's own server, a real process that is killed and started again."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hswarm import Topology, load
from hswarm.config.recipe import build_recipe
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.engines.openai import OpenAIEngine
from hswarm.engines.toy import toy_pool
from hswarm.errors import ConfigError, EngineError, PoolError, TaskError, UserError
from hswarm.experiments.search import search
from hswarm.experts.fusion import Fusion
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.experts.remote import RemoteExpert, RemoteSettings
from hswarm.scorers import get_scorer
from hswarm.scorers.judge import rating
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks.toy import generate, planted_order
from tests.engines.served import HSWARM, Server, kept
from tests.known import known, of_kind

pytest.importorskip("openai")
pytest.importorskip("starlette")
SECRET = "sk-very-secret"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    experts = [toy_pool(3).experts[i] for i in planted_order(3)]
    System(Topology.chain(3), tuple(experts), base="toy", engine=EngineSettings(name="toy")).save(folder / "whole")
    System(Topology.chain(1), (experts[0],), base="toy", engine=EngineSettings(name="toy")).save(
        folder / "whole/best-single"
    )
    made = Server(*HSWARM, "serve", folder / "whole", "--name", "whole")
    made.start()
    yield made
    made.kill()


def remote(server: Server, model: Any, **more: Any) -> Any:
    return {
        "name": f"the-{model}",
        "model": "whole:best-single" if model == "first" else model,
        "url": server.url,
        "attempts": 2,
    } | more


def content(server: Server, **search: Any) -> dict[str, Any]:
    """A recipe of two remote experts, with no local one."""
    return {
        "name": "remote",
        "pool": {"remote": [remote(server, "whole"), remote(server, "first", concurrency=2)]},
        "engine": {"name": "openai"},
        "task": {"name": "toy", "dev": 12, "test": 8, "options": {"toy": {"steps": 3}}},
        "search": {"method": "hswarm", "graphs": 2, "assignments": 3, "iterations": 2, "patience": 2} | search,
    }


def result(path: Path) -> tuple[Any, Any, Any]:
    report = json.loads((path / "report.json").read_text())
    del report["wall_s"]
    return (path / "history.jsonl").read_bytes(), report, (path / "best/system.json").read_bytes()


def expert(server: Server, model: str = "whole", **more: Any) -> RemoteExpert:
    return RemoteExpert(RemoteSettings(**remote(server, model, **more)))


def ask(one: Any, prompts: Any) -> Any:
    return open_engine(EngineSettings(), one.base).generate([Request(one, prompt, Sampling()) for prompt in prompts])


def test_a_search_over_remote_experts_saves_what_it_scored(server: Server, tmp_path: Path) -> None:
    run = search(build_recipe(content(server)), tmp_path / "run")
    assert run.report.singles["the-whole"] == run.report.dev.score == 1
    assert known(run.report.singles["the-first"]) < 1
    system = load(run.path)
    questions = generate(3, 7, 3)
    assert system.respond([example.question for example in questions]) == [example.answer for example in questions]


def test_local_and_remote_in_one_pool(server: Server) -> None:
    """The weight-step's groups leave the remote expert out, and each request goes to its own engine."""
    from hswarm.experts.pool import ExpertPool

    local = toy_pool(3).experts
    pool = ExpertPool((*local, expert(server, "first")), "toy")
    assert pool.groups == ((0, 1, 2),)
    assert pool.blend([0, 0, 0, 1], "the-first").digest == pool.experts[3].digest
    with pytest.raises(PoolError, match="do not share an architecture"):
        pool.blend([0.5, 0, 0, 0.5], "x")
    named = tuple(one.with_base("toy") for one in pool.experts)
    engine = open_engine(EngineSettings(name="toy"), ("toy", "openai"))
    engine.check(named)
    first, *rest = planted_order(3)
    system = System(
        Topology.chain(3), (named[3], *(named[i] for i in rest)), base="toy", engine=EngineSettings(name="toy")
    )
    examples = generate(10, 3, 3)
    (nodes,) = Executor(engine).run([system], examples, "s")
    (alone,) = Executor(engine).run(
        [System(Topology.chain(3), (named[first], *(named[i] for i in rest)))], examples, "s"
    )
    assert [reply.text for reply in nodes[2]] == [
        reply.text for reply in alone[2]
    ]  # `first` is served, or here: the same


def test_killed_and_started_again_ends_equal(server: Server, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONWARNINGS": "default"}
    recipe = build_recipe(content(server))
    search(recipe, tmp_path / "whole")
    slow = content(server)
    for one in slow["pool"]["remote"]:
        one["per_minute"] = 600  # time to be killed in
    (tmp_path / "slow.toml").write_text(build_recipe(slow).to_toml())
    process = subprocess.Popen(
        [*HSWARM, "search", str(tmp_path / "slow.toml"), "--run", str(tmp_path / "broken")],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and kept(tmp_path / "broken") < 15:
        time.sleep(0.05)
    server.kill()
    try:
        said = process.communicate()[1]
        assert process.returncode == 1
        assert "cannot be reached" in said
        assert "hswarm resume" in said
        before = kept(tmp_path / "broken")
        assert before >= 15  # not lost with the wave that broke
    finally:
        server.start()
    done = subprocess.run([*HSWARM, "resume", str(tmp_path / "broken")], env=environment, check=False)
    assert done.returncode == 0
    assert result(tmp_path / "whole")[:2] == result(tmp_path / "broken")[:2]


def test_replies_arrive_one_by_one_and_stay(server: Server) -> None:
    engine, one, seen = open_engine(EngineSettings(), "openai"), expert(server), list[tuple[int, str]]()
    questions = [example.question for example in generate(20, 5, 3)]
    of_kind(OpenAIEngine, engine).arrive(
        [Request(one, question, Sampling()) for question in questions], lambda i, reply: seen.append((i, reply.text))
    )
    assert [text for _, text in sorted(seen)] == [example.answer for example in generate(20, 5, 3)]


def test_what_the_server_refuses_is_failed_or_named(server: Server) -> None:
    assert [reply.finish for reply in ask(expert(server), [example.question for example in generate(1, 0, 3)])] == [
        "stop"
    ]
    with pytest.raises(UserError, match="has no model 'none'"):
        ask(expert(server, "none"), ["x"])
    nobody = RemoteExpert(RemoteSettings("n", "m", "http://127.0.0.1:9/v1", attempts=1))
    with pytest.raises(EngineError, match="cannot be reached \\(no connection, 1 attempts\\)"):
        ask(nobody, ["x"])


def test_a_budget_and_a_pace_are_kept(server: Server) -> None:
    questions = [example.question for example in generate(4, 9, 3)]
    with pytest.raises(EngineError, match="budget of 2 calls"):
        ask(RemoteExpert(RemoteSettings("b", "whole", f"{server.url}/", calls=2, concurrency=1)), questions * 3)
    began = time.monotonic()
    ask(expert(server, per_minute=300), questions)
    assert time.monotonic() - began >= 3 * 60 / 300


def test_keys_come_from_the_environment_alone(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed = expert(server, key="HSWARM_TEST_KEY")
    with pytest.raises(PoolError, match=r"\$HSWARM_TEST_KEY, which is not set"):
        open_engine(EngineSettings(), "openai").check([keyed])
    monkeypatch.setenv("HSWARM_TEST_KEY", SECRET)
    recipe = content(server)
    recipe["pool"]["remote"][0]["key"] = "HSWARM_TEST_KEY"
    run = search(build_recipe(recipe), tmp_path / "run")
    assert run.finished
    assert not any(SECRET.encode() in file.read_bytes() for file in run.path.rglob("*") if file.is_file())
    recipe["pool"]["remote"][0]["key"] = SECRET
    with pytest.raises(ConfigError) as fault:
        build_recipe(recipe)
    assert SECRET not in str(fault.value)
    assert "NAME of an environment variable" in str(fault.value)
    with pytest.raises(TaskError) as refused:
        get_scorer("judge", {"model": "m", "url": "http://x/v1", "key": SECRET})
    assert SECRET not in str(refused.value)


def test_a_fusion_takes_no_remote_expert(server: Server) -> None:
    with pytest.raises(PoolError, match="which APIs and tools do not give: leave out the-first"):
        Fusion.join([expert(server, "first")])


def test_two_experts_of_one_name_are_refused(server: Server) -> None:
    with pytest.raises(PoolError, match="names 'the-whole' twice"):
        open_pool(PoolSettings(remote=(RemoteSettings(**remote(server, "whole")),) * 2))


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("Rating: 7", 7),
        ("**Rating:** 10", 10),
        ("rating is 3", 3),
        ("I give it 8/10.", 8),
        ("9 out of 10", 9),
        ("7", 7),
        ("10.", 10),
        ("Rating: [[4]]", 4),
        ("There are 3 faults.\nRating: 6", 6),
        ("Rating: 2\nNo: Rating: 5", 5),
        ("7.0", 7),
        ("", None),
        ("no idea", None),
        ("between 3 and 8", None),
        ("0", None),
        ("11", None),
        ("100", None),
        ("1-10", None),
        ("-5", None),
    ],
)
def test_ratings(reply: str, found: int | None) -> None:
    assert rating(reply) == found


def test_a_judge_behind_the_api(server: Server, tmp_path: Path) -> None:
    """The toy server cannot rate: every rating fails, is counted and stops the search instead of scoring 1."""
    recipe = content(server)
    recipe["task"] |= {"scorer": "judge", "scorer_options": {"model": "whole", "url": server.url, "attempts": 1}}
    with pytest.raises(EngineError, match="had failed calls"):
        search(build_recipe(recipe), tmp_path / "run")
    recipe["task"]["scorer_options"] |= {"url": "http://127.0.0.1:9/v1"}
    with pytest.raises(EngineError, match="cannot be reached"):
        search(build_recipe(recipe), tmp_path / "unreachable")
    assert not (tmp_path / "unreachable/report.json").exists()
