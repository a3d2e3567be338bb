"""Experts of the hub, fetched from a server on this machine by the command and by a recipe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experts.adapters import adapter, tensors
from tests.experts.hub import COMMIT, hub


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    """Three repositories with adapters, one of them with what else people upload."""
    made = {
        f"{owner}/{name}": adapter(tmp_path / "repositories" / owner / name, tensors(seed))
        for seed, (owner, name) in enumerate([("ann", "sums"), ("ann", "code"), ("bob", "sums")])
    }
    for name in (
        "optimizer.pt",
        "training_args.bin",
        "modeling.py",
        "README.md",
        "checkpoint-5/adapter_model.safetensors",
    ):
        file = made["ann/sums"] / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"not for us")
    made["ann/pickle"] = adapter(tmp_path / "repositories/ann/pickle", tensors(4))
    (made["ann/pickle"] / "adapter_model.safetensors").rename(made["ann/pickle"] / "adapter_model.bin")
    return made


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hswarm.cli.main", *words]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=60
    )


def recipe(folder: Path, *names: str) -> Path:
    path = folder / "far.toml"
    listed = ", ".join(f'"{name}"' for name in names)
    path.write_text(f'[task]\nname = "toy"\n[pool]\nexperts = [{listed}]\n')
    return path


def test_a_recipe_names_experts_of_the_hub(tmp_path: Path, models: dict[str, Path]) -> None:
    path, asked = recipe(tmp_path, "ann/sums", f"ann/code@{COMMIT}", "bob/sums"), list[str]()
    with hub(tmp_path / "home", models, asked) as found:
        made = run(found, "experts", "download", str(path))
        assert (made.returncode, made.stderr.count("was downloaded from the hub in its current version")) == (0, 2), (
            made.stderr
        )
        assert [line.split(":")[0] for line in made.stdout.splitlines()] == [
            "ann/sums",
            f"ann/code@{COMMIT}",
            "bob/sums",
        ]
    assert set(asked) == {"adapter_config.json", "adapter_model.safetensors"}
    # without a connection from here on
    checked = run(found | {"HF_HUB_OFFLINE": "1"}, "experts", "check", str(path))
    assert checked.returncode == 0, checked.stderr
    assert "3 experts of tiny/base: sums, code, bob-sums" in checked.stdout


def test_experts_by_id(tmp_path: Path, models: dict[str, Path]) -> None:
    with hub(tmp_path / "home", models) as found:
        made = run(found, "experts", "download", f"bob/sums@{COMMIT}")
        moving = run(found, "experts", "download", "bob/sums@main")
    assert made.returncode == 0, made.stderr
    assert "for base tiny/base" in made.stdout
    assert not made.stderr
    assert moving.stdout.replace("@main", f"@{COMMIT}") == made.stdout
    assert f"'bob/sums@{COMMIT}' in the recipe always gets the same files" in moving.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nobody/nothing"], "expert 'nobody/nothing' is not in the hub's cache here and cannot be fetched"),
        (["sums"], "expected a recipe, or an expert of the hub"),
        (["ann/sums@gone"], "expert 'ann/sums@gone' is not in the hub's cache here and cannot be fetched"),
        (["ann/sums@"], "must be a commit, branch or tag of the hub, got ''"),
        (["ann/pickle"], "expert 'ann/pickle' has no safetensors at the top of its repository"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(
    tmp_path: Path, models: dict[str, Path], words: list[str], message: str
) -> None:
    with hub(tmp_path / "home", models) as found:
        made = run(found, "experts", "download", *words)
    assert made.returncode == 2
    assert message in made.stderr
    assert len(made.stderr.splitlines()) == 1


def test_folders_and_the_hub_in_one_pool(tmp_path: Path, models: dict[str, Path]) -> None:
    adapter(tmp_path / "pool/own", tensors(7))
    path = recipe(tmp_path, "own", f"ann/sums@{COMMIT}")
    path.write_text(path.read_text() + 'path = "pool"\n')
    with hub(tmp_path / "home", models) as found:
        made = run(found, "experts", "check", str(path))
    assert made.returncode == 0, made.stderr
    assert "2 experts of tiny/base: own, sums" in made.stdout
