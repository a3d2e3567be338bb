"""`hswarm export --push`: a system goes to a hub on this machine, over HTTP, and comes back as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import hswarm
from hswarm.cli.main import main
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
        fetch = [
            str(Path(sys.executable).with_name("hf")),
            "download",
            "me/found",
            "--local-dir",
            str(tmp_path / "there"),
        ]
        subprocess.run(fetch, env=os.environ | mine, check=True, capture_output=True)
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


MISTAKES = """
import os, sys
from hswarm.cli.main import main
for line in sys.stdin.read().splitlines():
    token, *words = line.split()
    os.environ["HF_TOKEN"] = token
    print(main(["export", *words]), file=sys.stderr)
"""


def test_mistakes_are_one_line_and_cost_nothing(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "hub/me/thesis"
    other.mkdir(parents=True)
    (other / "model.safetensors").write_bytes(b"somebody's work")
    cases = (
        (f"{TOKEN} {run.path} --push found", "expected owner/name"),
        (f"{TOKEN} {run.path} --public", "nowhere to export to"),
        (f"{TOKEN} {run.path} {tmp_path / 'new'} --public", "name one (--push owner/name)"),
        (f"hf_old {run.path} --push me/found", "does not know this token"),
        (f"{TOKEN} {run.path} --push you/found", "the token may not write there"),
        (f"{TOKEN} {run.path} --push me/thesis", "holds something else (model.safetensors)"),
    )
    with hub(tmp_path / "hub", {"me/thesis": other}) as found:
        done = subprocess.run(
            [sys.executable, "-c", MISTAKES],
            env=os.environ | found,
            input="\n".join(words for words, _ in cases),
            capture_output=True,
            text=True,
            check=True,
        )
        lines = done.stderr.splitlines()
        assert lines[1::2] == ["2"] * len(cases), done.stderr
        for line, (_, told) in zip(lines[::2], cases, strict=True):
            assert told in line
        done = run_command(found, "export", str(run.path), "--push", "me/found")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "not logged in to the hub; log in once (hf auth login)" in done.stderr
    assert (other / "model.safetensors").read_bytes() == b"somebody's work"
    assert not (tmp_path / "new").exists()


def test_a_hub_that_is_switched_off_or_away_is_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["export", str(run.path), "--push", "me/found"]) == 2  # tests are offline
    assert "HF_HUB_OFFLINE" in capsys.readouterr().err
    away = {"HF_HUB_OFFLINE": "0", "HF_TOKEN": TOKEN, "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = run_command(away, "export", str(run.path), "--push", "me/found")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the hub could not be reached" in done.stderr
