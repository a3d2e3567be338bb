"""Tools at the nodes of systems: found by a search of real experts, saved, exported, asked and served."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import hswarm
from hswarm.config.recipe import build_recipe, read_recipe
from hswarm.engines import open_engine
from hswarm.errors import ConfigError, PoolError
from hswarm.experiments.search import search
from hswarm.experts.pool import open_pool
from hswarm.tasks import micro
from tests.conftest import ROOT
from tests.engines.served import HSWARM
from tests.server.serving import serving

pytestmark = pytest.mark.model


def recipe(**pool: Any) -> dict[str, Any]:
    """Two experts, and the skill of a third as a tool: Python of the tests, and facts to look up."""
    return {
        "name": "tools",
        "pool": {
            "path": str(ROOT / "experts/micro/pool"),
            "base": str(ROOT / "experts/micro/base"),
            "experts": ["tav", "wex"],
            "space": "delta",
            "tools": [{"name": "zor", "tool": "tests.tools.parts:zor"}],
        }
        | pool,
        "engine": {"dtype": "float32"},
        "task": {"name": "micro", "datasets": ["tav+zor"], "dev": 12, "test": 20, "max_new_tokens": 14},
        "budget": {"calls": 400},
    }


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HSWARM, *map(str, words)], capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tools") / "run"
    search(build_recipe(recipe()), folder)
    return folder


def test_growth_puts_the_tool_where_it_belongs(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    assert report["topology"]["assignment"] == ["tav", "zor"]
    assert report["topology"]["edges"] == [[0, 1]]
    assert report["test"]["score"] > 0.9
    assert max(report["singles"].values()) < 0.1
    assert report["calls"]["failed"] == 0
    saved = json.loads((run / "best/experts/zor/tool.json").read_text())
    assert saved["tool"] == "tests.tools.parts:zor"


def test_a_served_system_answers_rightly(run: Path) -> None:
    openai = pytest.importorskip("openai")
    system = hswarm.load(run / "best")
    questions, right = micro.WORLD.generate(["tav+zor"], 8, seed=5), 0
    with (
        serving({"tools": system}, open_engine(system.engine, system.bases, system.experts)) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client,
    ):
        for one in questions:
            ask = [{"role": "user", "content": one.question}]
            right += (
                client.chat.completions.create(model="tools", messages=ask).choices[0].message.content == one.answer
            )
    assert right >= 7


@pytest.mark.slow
def test_a_bundle_answers_and_its_python_needs_consent(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = command("export", run, tmp_path / "bundle")
    assert done.returncode == 0, done.stderr
    question, base = "tav zor on red cat sings loudly here", ("--base", ROOT / "experts/micro/base")
    allow = ("--allow", "tests.tools.parts:zor")
    monkeypatch.delenv("HSWARM_ALLOW")
    refused = command("ask", tmp_path / "bundle", question, *base)
    assert refused.returncode == 2
    assert "--allow 'tests.tools.parts:zor'" in refused.stderr
    asked = command("ask", tmp_path / "bundle", question, "--trace", *base, *allow)
    assert asked.returncode == 0, asked.stderr
    assert "zor on" in asked.stdout  # what the expert left to the tool
    assert r"zor (a tool: tests.tools.parts:zor)" in (tmp_path / "bundle/README.md").read_text()


def test_files_are_saved_with_a_system_and_read_from_there_alone(tmp_path: Path) -> None:
    facts = tmp_path / "facts.txt"
    facts.write_text("The crow is black.\n\nThe whale swims.\n")
    tools = [{"name": "facts", "tool": "retrieval", "files": [str(facts)]}]
    pool = open_pool(build_recipe(recipe(tools=tools)).pool)
    assert pool.names == ["facts", "tav", "wex"]
    assert pool.groups == ((1, 2),)
    system = hswarm.System(hswarm.Topology.chain(1), pool.experts[:1])
    system.save(tmp_path / "saved")
    facts.write_text("changed")
    loaded = hswarm.load(tmp_path / "saved")
    assert loaded.experts[0].digest == pool.experts[0].digest
    assert loaded.respond(["What does the whale do?"]) == ["The whale swims."]
    described = tmp_path / "saved/experts/facts/tool.json"
    described.write_text(described.read_text().replace('"facts.txt"', '"../../../facts.txt"'))
    with pytest.raises(PoolError, match="outside of the tool's folder"):
        hswarm.load(tmp_path / "saved")


def test_names_and_places_in_recipes(tmp_path: Path) -> None:
    (tmp_path / "facts.txt").write_text("The crow is black.")
    (tmp_path / "recipe.toml").write_text(
        '[[pool.tools]]\nname = "facts"\ntool = "retrieval"\nfiles = ["facts.txt"]\n[task]\nname = "toy"\n'
    )
    settings = read_recipe(tmp_path / "recipe.toml").pool
    assert settings.tools[0].files == (str((tmp_path / "facts.txt").resolve()),)
    with pytest.raises(PoolError, match="names 'tav' twice"):
        open_pool(build_recipe(recipe(tools=[{"name": "tav", "tool": "calculator"}])).pool)
    with pytest.raises(ConfigError, match=r"pool\.tools\.0\.nmae"):
        build_recipe(recipe(tools=[{"nmae": "x"}]))


def test_a_plan_names_a_tool_that_is_not_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(build_recipe(recipe()).to_toml())
    assert "not here yet" not in command("plan", file, "--quick").stdout
    monkeypatch.delenv("HSWARM_ALLOW")
    assert "tests.tools.parts:zor" in command("plan", file, "--quick").stdout
