"""Local experts and a served one in one pool: real models, the real command, and a server that dies mid-run."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hswarm import Topology
from hswarm.config.recipe import build_recipe
from hswarm.engines.base import EngineSettings, Sampling
from hswarm.errors import EngineError
from hswarm.experiments.search import search
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.system.system import System
from tests.engines.served import HSWARM, Server, kept

pytest.importorskip("openai")
pytest.importorskip("starlette")
pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def micro(root: Path) -> dict[str, Any]:
    return {"path": str(root / "experts/micro/pool"), "base": str(root / "experts/micro/base")}


@pytest.fixture(scope="module")
def server(micro: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of the micro experts, behind an API."""
    (expert,) = open_pool(PoolSettings(**micro, experts=("tav",)), least=1).experts
    folder = tmp_path_factory.mktemp("served") / "tav"
    System(
        Topology.chain(1), (expert,), base=micro["base"], engine=EngineSettings(dtype="float32"), sampling=Sampling(14)
    ).save(folder)
    made = Server(*HSWARM, "serve", folder, "--name", "tav")
    made.start()
    yield made
    made.kill()


def recipe(micro: dict[str, Any], server: Server, **more: Any) -> dict[str, Any]:
    """Questions that the served expert, a local one and a second local one can do: a half, a half and none."""
    return {
        "name": "mix",
        "pool": micro
        | {
            "experts": ["wex", "zor"],
            "remote": [{"name": "far", "model": "tav", "url": server.url, "attempts": 2} | more],
        },
        "engine": {"dtype": "float32"},
        "task": {"name": "micro", "datasets": ["tav", "wex"], "dev": 8, "test": 4, "max_new_tokens": 14},
        "search": {"method": "hswarm", "graphs": 3, "assignments": 3, "iterations": 2},
    }


def begin(content: Any, folder: Path, name: Any) -> Any:
    """`hswarm search` of `content`, started."""
    file = folder / f"{name}.toml"
    file.write_text(build_recipe(content).to_toml())
    return subprocess.Popen(
        [*HSWARM, "search", str(file), "--run", str(folder / name)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(path: Path) -> tuple[Any, Any]:
    report = json.loads((path / "report.json").read_text())
    del report["wall_s"]
    return (path / "history.jsonl").read_bytes(), report


@pytest.fixture(scope="module")
def whole(micro: dict[str, Any], server: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("whole")
    process = begin(recipe(micro, server), folder, "run")
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    return folder / "run"


@pytest.mark.slow
def test_a_search_over_local_and_served_experts(whole: Any) -> None:
    history, report = result(whole)
    assert history.count(b"\n") == 2
    assert set(report["singles"]) == {"far", "wex", "zor"}
    assert min(report["singles"]["far"], report["singles"]["wex"]) > report["singles"]["zor"]  # both answered
    assert report["calls"]["failed"] == 0
    saved = list((whole / "best/experts").glob("*/remote.json"))
    assert bool(saved) == ("far" in report["topology"]["assignment"])
    done = subprocess.run(
        [*HSWARM, "ask", str(whole), "tav wex on red cat sings loudly here", "--trace"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in report["topology"]["assignment"])


@pytest.mark.slow
def test_a_server_killed_and_started_again_changes_nothing(
    micro: dict[str, Any], server: Server, whole: Any, tmp_path: Path
) -> None:
    process = begin(recipe(micro, server, per_minute=900), tmp_path, "run")
    end = time.monotonic() + 240
    while process.poll() is None and kept(tmp_path / "run") < 30 and time.monotonic() < end:
        time.sleep(0.02)
    server.kill()
    try:
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 1, said
        assert "cannot be reached" in said
        assert f"hswarm resume {tmp_path / 'run'}" in said.replace("\n", " ")
    finally:
        server.start()
    done = subprocess.run(
        [*HSWARM, "resume", str(tmp_path / "run")], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert result(tmp_path / "run") == result(whole)


@pytest.mark.parametrize("served", [True, False])
def test_a_judge_that_cannot_rate_is_counted_and_never_scored(
    micro: dict[str, Any], server: Server, tmp_path: Path, served: bool
) -> None:
    """The micro models know no numbers. One rates behind the API, or the pool's base in the run's own engine."""
    content = recipe(micro, server)
    options = {"model": "tav", "url": server.url, "attempts": 2} if served else {}
    content["task"] |= {"scorer": "judge", "scorer_options": options | {"max_new_tokens": 8}}
    with pytest.raises(EngineError, match="had failed calls .* a rating that cannot be read"):
        search(build_recipe(content), tmp_path / "run")
    assert kept(tmp_path / "run") > 8 * 3  # the judge's replies too
    assert not (tmp_path / "run/report.json").exists()
