"""A local and a served expert in one pool, served by another project: `transformers serve`, which dies mid-run."""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hswarm.config.recipe import Recipe, build_recipe
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.engines.openai import OpenAIEngine
from hswarm.errors import EngineError
from hswarm.experiments.search import resume, search
from hswarm.experts.remote import RemoteExpert, RemoteSettings
from hswarm.runs.progress import Progress
from tests.engines.served import Server, kept
from tests.known import known, of_kind

pytest.importorskip("openai")
COMMAND = Path(sys.executable).parent / "transformers"
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        not COMMAND.is_file() or not find_spec("fastapi") or not find_spec("uvicorn"),
        reason="transformers serve is not here (pip install 'transformers[serving]')",
    ),
]


@pytest.fixture(scope="module")
def served(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A micro expert, merged into its base, and the server of it."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base, folder = root / "experts/micro/base", tmp_path_factory.mktemp("merged") / "tav"
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), root / "experts/micro/pool/tav")
    model.merge_and_unload().save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    server = Server(COMMAND, "serve", folder, "--device", "cpu")
    server.start()
    yield server, str(folder)
    server.kill()


def recipe(root: Path, served: tuple[Server, str]) -> Recipe:
    server, model = served
    return build_recipe(
        {
            "pool": {
                "path": str(root / "experts/micro/pool"),
                "base": str(root / "experts/micro/base"),
                "experts": ["wex", "zor"],
                "remote": [{"name": "far", "model": model, "url": server.url, "attempts": 2}],
            },
            "engine": {"dtype": "float32"},
            "task": {"name": "micro", "datasets": ["tav", "wex"], "dev": 6, "test": 2, "max_new_tokens": 14},
            "search": {"method": "hswarm", "graphs": 2, "assignments": 2, "iterations": 2},
        }
    )


class Killer(Progress):
    """Kills the server once `calls` calls have been answered."""

    def __init__(self, server: Any, calls: Any) -> None:
        self.server, self.calls = server, calls

    def advance(self, calls: Any) -> None:
        self.calls -= calls
        if self.calls <= 0:
            self.server.kill()


def test_killed_and_started_again_ends_equal(root: Path, served: tuple[Server, str], tmp_path: Path) -> None:
    server, _ = served
    whole = search(recipe(root, served), tmp_path / "whole")
    far, zor = (known(whole.report.singles[name]) for name in ("far", "zor"))
    assert far > zor  # it answered, and knows what it was asked
    assert whole.report.calls.failed == 0
    with pytest.raises(EngineError, match="cannot be reached"):
        search(recipe(root, served), tmp_path / "broken", Killer(server, 60))
    before = kept(tmp_path / "broken")
    assert 10 < before < kept(tmp_path / "whole")
    server.start()
    resumed = resume(tmp_path / "broken")
    assert (resumed.path / "history.jsonl").read_bytes() == (whole.path / "history.jsonl").read_bytes()
    assert resumed.report == whole.report.model_copy(update={"wall_s": resumed.report.wall_s})


def test_a_name_that_the_server_does_not_go_by_is_said_in_its_words(served: tuple[Server, str]) -> None:
    server, model = served
    expert = RemoteExpert(RemoteSettings("far", "tav", server.url, attempts=1))
    engine = open_engine(EngineSettings(), expert.base)
    (reply,) = engine.generate([Request(expert, "x", Sampling(2))])
    assert reply.finish == "failed"
    assert f"pinned to '{model}'" in of_kind(OpenAIEngine, engine).fault
