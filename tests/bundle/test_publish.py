"""`hswarm export --push`: a system goes to a hub on this machine, over HTTP, and comes back as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import hswarm
from hswarm.runs.directory import Run
from tests.experts.hub import TOKEN, hub


def run_command(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hswarm.cli.main", *words]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.fixture
def run(toy_recipe: hswarm.Recipe, tmp_path: Path) -> Run:
    return hswarm.search(toy_recipe, tmp_path / "run")


def test_a_pushed_system_is_the_one_that_was_found(run: Run, tmp_path: Path) -> None:
    models, visibility = dict[str, Path](), dict[str, str]()
    with hub(tmp_path / "hub", models, visibility=visibility) as found:
        mine = found | {"HF_TOKEN": TOKEN}
        made = run_command(mine, "export", str(run.path), "--push", "me/found")
        assert made.returncode == 0, made.stderr
        assert made.stdout == f"{found['HF_ENDPOINT']}/me/found: bundle of small, 3 nodes\n"
        assert visibility == {"me/found": "private"}
        card = ModelCard.load(models["me/found"] / "README.md")
        assert {"hswarm", "multi-llm"} <= set(card.data.tags or [])
        assert "hf download me/found --local-dir DIR" in card.text
        fetch = ["hf", "download", "me/found", "--local-dir", str(tmp_path / "there")]
        program = Path(sys.executable).with_name("hf")
        subprocess.run([program, *fetch[1:]], env=os.environ | mine, check=True, capture_output=True)
        again = hswarm.load(tmp_path / "there")
        question = "toy 0.0: steps 0 1 2; difficulty 0.2 0.2 0.2"
        assert again.respond([question]) == run.best.respond([question])

        (models["me/found"] / "left-over.json").write_text("{}")  # loading would refuse a file beside the manifest
        (models["me/found"] / ".gitattributes").write_text("*.safetensors filter=lfs\n")
        made = run_command(mine, "export", str(run.path), str(tmp_path / "kept"), "--push", "me/found", "--public")
        assert made.returncode == 0, made.stderr
        assert not (models["me/found"] / "left-over.json").exists()
        assert (models["me/found"] / ".gitattributes").exists()
        assert (tmp_path / "kept/manifest.json").is_file()
        assert visibility == {"me/found": "private"}  # --public is for new ones
        made = run_command(mine, "export", str(run.path), "--push", "me/open", "--public")
        assert visibility["me/open"] == "public"


def test_mistakes_are_one_line_and_cost_nothing(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "hub/me/thesis"
    other.mkdir(parents=True)
    (other / "model.safetensors").write_bytes(b"somebody's work")
    with hub(tmp_path / "hub", {"me/thesis": other}) as found:
        mine = found | {"HF_TOKEN": TOKEN}
        for environment, words, told in (
            (mine, ["--push", "found"], "expected owner/name"),
            (mine, ["--public"], "nowhere to export to"),
            (mine, [str(tmp_path / "new"), "--public"], "name one (--push owner/name)"),
            (found, ["--push", "me/found"], "not logged in to the hub; log in once (hf auth login)"),
            (found | {"HF_TOKEN": "hf_old"}, ["--push", "me/found"], "does not know this token"),
            (mine, ["--push", "you/found"], "the token may not write there"),
            (mine, ["--push", "me/thesis"], "holds something else (model.safetensors)"),
            (mine | {"HF_HUB_OFFLINE": "1"}, ["--push", "me/found"], "HF_HUB_OFFLINE"),
            (mine | {"HF_ENDPOINT": "http://127.0.0.1:9"}, ["--push", "me/found"], "could not be written"),
        ):
            done = run_command(environment, "export", str(run.path), *words)
            assert done.returncode == 2, done.stderr
            assert told in done.stderr
            assert done.stderr.count("\n") == 1
    assert (other / "model.safetensors").read_bytes() == b"somebody's work"
    assert not (tmp_path / "new").exists()
