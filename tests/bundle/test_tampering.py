"""A bundle that was changed, holds links, lies about sizes or tells where it was made."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

import hswarm
from hswarm.bundle.export import export_bundle
from hswarm.bundle.package import open_source
from hswarm.cli.main import main
from hswarm.config.recipe import Recipe, read_recipe, varied
from hswarm.errors import HSwarmError, RunError
from hswarm.experts.expert import Expert
from hswarm.experts.fingerprint import base_hashes
from hswarm.experts.pool import read_expert
from hswarm.plots.graph import graph_svg
from hswarm.system.load import load


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    folder = tmp_path_factory.mktemp("made")
    run = hswarm.search(varied(read_recipe(root / "recipes/toy.toml"), ["search.iterations=1"]), folder / "run")
    export_bundle(open_source(run.path), folder / "bundle")
    return folder / "bundle"


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def content(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_every_file_is_in_the_manifest(made: Path) -> None:
    listed = json.loads((made / "manifest.json").read_text())["files"]
    assert sorted([*listed, "manifest.json"]) == content(made)


def test_any_changed_lost_or_added_file_is_named(made: Path, tmp_path: Path) -> None:
    for name in content(made):
        if name == "manifest.json":
            continue
        for change, word in (("byte", "has changed"), ("longer", "bytes, expected"), ("lost", "is missing")):
            folder = Path(shutil.copytree(made, tmp_path / f"{name.replace('/', '-')}-{change}"))
            data = (folder / name).read_bytes()
            if change == "lost":
                (folder / name).unlink()
            else:
                (folder / name).write_bytes(bytes([data[0] ^ 1]) + data[1:] if change == "byte" else data + b" ")
            with pytest.raises(RunError, match=f"not as it was exported: {name}.*{word}"):
                open_source(folder)
    folder = Path(shutil.copytree(made, tmp_path / "added"))
    (folder / "best-single" / "more.json").write_text("{}")
    with pytest.raises(RunError, match=r"best-single/more.json was added"):
        load(folder)


def test_a_clone_of_the_hub_and_a_signature_are_no_additions(bundle: Path) -> None:
    (bundle / ".git").mkdir()
    (bundle / ".git" / "HEAD").write_text("ref")
    (bundle / ".gitattributes").write_text("")
    (bundle / "model.sig").write_text("{}")
    load(bundle)


@pytest.mark.parametrize("name", ["report.json", "experts", "recipe.toml", "best-single"])
def test_links_are_refused_with_and_without_a_manifest(bundle: Path, tmp_path: Path, name: str) -> None:
    (bundle / name).rename(tmp_path / "precious")
    (bundle / name).symlink_to(tmp_path / "precious")
    for _ in range(2):
        with pytest.raises(RunError, match="is a link"):
            open_source(bundle)
        (bundle / "manifest.json").unlink(missing_ok=True)


def test_a_pipe_does_not_hold_it_up(bundle: Path) -> None:
    os.mkfifo(bundle / "experts" / "pipe")
    with pytest.raises(RunError, match="neither a file nor a folder"):
        load(bundle)


@pytest.mark.parametrize("manifest", ["[", "{}", '{"format": 9, "files": {}}', '{"format": 1, "files": {"a": 1}}'])
def test_a_broken_manifest_is_one_line(bundle: Path, manifest: str, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "manifest.json").write_text(manifest)
    assert main(["ask", str(bundle), "q"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


LIES = {
    "a billion nodes": ("topology", {"size": 10**9, "edges": []}),
    "as many with an edge": ("topology", {"size": 10**9, "edges": [[0, 1]]}),
    "text as a size": ("topology", {"size": "9", "edges": []}),
    "no experts": ("nodes", []),
    "words as tokens": ("sampling", {"max_new_tokens": "many"}),
    "a temperature too small for arithmetic": ("sampling", {"temperature": 1e-320}),
    "a share of nothing": ("sampling", {"top_p": -1.0}),
    "no tokens": ("sampling", {"max_new_tokens": 0}),
    "a reply without end": ("sampling", {"max_new_tokens": 10**9}),
    "a temperature without end": ("sampling", {"temperature": float("inf")}),
    "half a character": ("prompts", {"instruction": "\ud800"}),
    "seeds of words": ("seeds", ["a"] * 4),
    "seeds of 400 digits": ("seeds", [10**400] * 4),
    "a base that is a list": ("base", ["toy"]),
    "numbers as nodes": ("nodes", [1, 2, 3, 4]),
    "an expert without a name": ("nodes", [{"expert": None, "folder": "step-0", "digest": "0"}] * 4),
    "a vote named by a list": ("nodes", [{"expert": [1], "vote": True}] * 4),
    "a name without end": ("nodes", [{"expert": "x" * 10**6, "folder": "step-0", "digest": "0"}] * 4),
    "a list as instruction": ("prompts", {"instruction": ["a"]}),
    "an engine that is none": ("engine", {"name": "toy", "batch": "all"}),
}


def test_a_system_that_lies_is_refused_before_anything_is_built(made: Path, tmp_path: Path) -> None:
    description = json.loads((made / "system.json").read_text())
    for lie, (key, value) in LIES.items():
        folder = Path(shutil.copytree(made, tmp_path / lie))
        (folder / "manifest.json").unlink()
        (folder / "system.json").write_text(json.dumps(description | {key: value}))
    code = (
        "import resource, sys, hswarm\n"
        "base = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "from hswarm.system.load import load\n"
        "resource.setrlimit(resource.RLIMIT_AS, (base + 1_000_000_000,) * 2)\n"
        "for folder in sys.argv[1:]:\n"
        "    try: load(folder)\n"
        "    except hswarm.HSwarmError as fault: print(fault)\n"
    )
    folders = [str(tmp_path / lie) for lie in LIES]
    done = subprocess.run([sys.executable, "-c", code, *folders], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    for line, place in zip(told, folders, strict=True):
        assert line.startswith(f"{place}/system.json is not a system as hswarm writes it: ")
        assert len(line) < 1000


def test_ten_thousand_nodes_take_no_longer_than_their_number(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()
    description = json.loads((bundle / "system.json").read_text())
    size = 10_000
    edges = [[i, i + 1] for i in range(size - 1)]
    many = {"topology": {"size": size, "edges": edges}, "nodes": [description["nodes"][0]] * size}
    (bundle / "system.json").write_text(json.dumps(description | many))
    began = time.process_time()
    system = load(bundle)
    assert graph_svg(system.topology, system.assignment).count("<rect") == size
    assert time.process_time() - began < 10  # half a minute, if it grew with the square


@pytest.mark.parametrize("name", ["../../../outside", "/tmp/outside", "a/b", "..", "\x1b[31mred\n| `b` <b>", " . "])
def test_a_strangers_names_are_text_wherever_they_go(bundle: Path, tmp_path: Path, name: str) -> None:
    (bundle / "manifest.json").unlink()
    description = json.loads((bundle / "system.json").read_text())
    for node in description["nodes"]:
        node["expert"] = name
    (bundle / "system.json").write_text(json.dumps(description))
    before = sorted(tmp_path.iterdir())
    export_bundle(open_source(bundle), tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "out"])
    assert {path.parent.parent for path in (tmp_path / "out").glob("experts/*/*")} == {tmp_path / "out/experts"}
    assert load(tmp_path / "out").assignment == [Path(name).name if name[0] == "/" else name] * 4
    ElementTree.fromstring((tmp_path / "out/graph.svg").read_text())
    card = (tmp_path / "out/README.md").read_text()
    assert "\x1b" not in card
    assert "<b>" not in card.partition("```mermaid")[0] + card.rpartition("```")[2]


def test_a_key_that_stands_twice_is_refused(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()
    text = (bundle / "system.json").read_text()
    (bundle / "system.json").write_text(text.replace('"base":', '"base": "another", "base":', 1))
    with pytest.raises(RunError, match="'base' stands twice"):
        load(bundle)


@pytest.mark.parametrize("recipe", [b"= ][", b"a = " + b"9" * 6000, b"a = " + b"[" * 50_000, b"\xff"])
def test_a_bundles_recipe_is_toml(bundle: Path, recipe: bytes) -> None:
    (bundle / "manifest.json").unlink()
    (bundle / "recipe.toml").write_bytes(recipe)
    with pytest.raises(RunError, match="cannot be read as TOML"):
        open_source(bundle)


def test_an_expert_is_read_once_at_however_many_nodes(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bundle / "manifest.json").unlink()
    description = json.loads((bundle / "system.json").read_text())
    one = description["nodes"][0]
    edges = [[i, i + 1] for i in range(499)]
    many = {"topology": {"size": 500, "edges": edges}, "nodes": [one] * 500, "seeds": []}
    (bundle / "system.json").write_text(json.dumps(description | many))
    read: list[Path] = []

    def noted(path: Path) -> Expert:
        read.append(path)
        return read_expert(path)

    monkeypatch.setattr("hswarm.system.load.read_expert", noted)
    assert load(bundle).topology.size == 500
    assert len(read) == 1
    many["nodes"] = [one] * 499 + [one | {"digest": "0" * 64}]
    (bundle / "system.json").write_text(json.dumps(description | many))
    with pytest.raises(RunError, match="has two digests"):
        load(bundle)


def test_a_strangers_system_starts_no_workers(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()
    description = json.loads((bundle / "system.json").read_text())
    description["engine"] |= {"devices": list(range(5000))}
    (bundle / "system.json").write_text(json.dumps(description))
    assert load(bundle).engine.devices == ()


def test_no_path_of_this_machine_leaves_it(root: Path, tmp_path: Path, toy_recipe: Recipe) -> None:
    """A real pool whose base is a folder, a recipe with every kind of path, and an adapter that names its trainer's."""
    pytest.importorskip("torch")
    home = tmp_path / "home of somebody" / "ünique"
    pool = Path(shutil.copytree(root / "experts/micro/pool", home / "pool"))
    base = Path(shutil.copytree(root / "experts/micro/base", home / "base"))
    for config in pool.glob("*/adapter_config.json"):
        told = json.loads(config.read_text()) | {"base_model_name_or_path": str(base)}
        config.write_text(json.dumps(told))
    recipe = varied(
        read_recipe(root / "recipes/micro.toml"),
        [
            f"pool.path={pool}",
            "pool.experts=['tav', 'wex']",
            "pool.base=",
            f"search.cache={home / 'calls'}",
            f"track.folder={home / 'tracks'}",
            "search.graphs=1",
            "search.assignments=1",
            "search.iterations=1",
            "search.nodes=2",
            "task.dev=2",
            "task.test=2",
        ],
    )
    run = hswarm.search(recipe, home / "run")
    export_bundle(open_source(run.path), tmp_path / "out")
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"somebody" not in data, path
            assert str(root).encode() not in data, path
    with pytest.raises(HSwarmError, match="--base"):
        load(tmp_path / "out")
    again = load(tmp_path / "out", base=str(base))
    assert again.topology == run.best.topology
    assert json.loads((tmp_path / "out/system.json").read_text())["hashes"] == {"base": base_hashes(str(base))}
