"""Files made to do harm, and what must not leave the machine: refused, or harmless."""

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import hswarm
from hswarm.cli.main import main
from hswarm.config.recipe import build_recipe, read_recipe
from hswarm.errors import HSwarmError, PoolError, RunError, TaskError
from hswarm.experiments.search import resume, search
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.runs.directory import Run
from hswarm.tasks.formats import read_data
from tests.conftest import toy_content
from tests.faults.harness import HERE, make_recipe, run

ISOLATED = ["unshare", "--map-root-user", "--net"]  # no network but a loopback that is down


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    make_recipe(tmp_path)
    return tmp_path / "pool"


@pytest.fixture
def half_run(tmp_path: Path) -> Path:
    """A run without its report, as a stopped one is."""
    search(build_recipe(toy_content(iterations=1)), tmp_path / "run")
    (tmp_path / "run" / "report.json").unlink()
    return tmp_path / "run"


def refused(pool: Path, *words: Any) -> None:
    with pytest.raises(PoolError) as fault:
        open_pool(PoolSettings(path=str(pool)))
    for word in words:
        assert word in str(fault.value)


def weights(pool: Path) -> Any:
    return pool / "step-1" / "adapter_model.safetensors"


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (Path(os.environ["HSWARM_BOMB"]),)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_model.bin"])
def test_pickles_are_never_opened(pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("HSWARM_BOMB", str(tmp_path / "burst"))
    weights(pool).unlink()
    (pool / "step-1" / name).write_bytes(pickle.dumps(Bomb()))
    refused(pool, "step-1")
    assert not (tmp_path / "burst").exists()


def test_a_zip_bomb_is_no_adapter(pool: Path) -> None:
    with zipfile.ZipFile(weights(pool), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", b"\0" * 50_000_000)
    refused(pool, "damaged or cut short")


@pytest.mark.parametrize("shape", [[2**40, 2**20], [2**63, 1], [-1, 4], [1, 4]])
def test_enormous_shapes_take_no_memory(pool: Path, shape: Sequence[int]) -> None:
    header = json.dumps(
        {"x": {"dtype": "F32", "shape": shape, "data_offsets": [0, 2**62 if shape[0] > 1 else 1]}}
    ).encode()
    weights(pool).write_bytes(struct.pack("<Q", len(header)) + header)
    refused(pool, "damaged or cut short")


def test_an_enormous_header_takes_no_memory(pool: Path) -> None:
    weights(pool).write_bytes(struct.pack("<Q", 2**62) + b"{}")
    refused(pool, "damaged or cut short")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(pool: Path, value: float) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(weights(pool))
    tensors[min(tensors)][0] = value
    save_file(tensors, weights(pool))
    refused(pool, "step-1", "NaN or infinite weights")


def test_deep_json_is_refused(pool: Path, tmp_path: Path) -> None:
    deep = "[" * 200_000
    (pool / "step-1" / "adapter_config.json").write_text(deep)
    refused(pool, "step-1")
    (tmp_path / "task.json").write_text(deep)
    with pytest.raises(TaskError):
        read_data(tmp_path / "task.json")
    (tmp_path / "recipe.toml").write_text("a = " + deep)
    with pytest.raises(HSwarmError):
        read_recipe(tmp_path / "recipe.toml")


@pytest.mark.parametrize("folder", ["../../secret", "/etc", "..", ".", "a/b", ""])
def test_a_system_reads_nothing_outside_its_folder(half_run: Path, folder: str) -> None:
    description = json.loads((half_run / "best/system.json").read_text())
    description["nodes"][0]["folder"] = folder
    (half_run / "best/system.json").write_text(json.dumps(description))
    with pytest.raises(RunError):
        hswarm.load(half_run)


@pytest.mark.parametrize("name", ["lock", "history.jsonl", "cache.sqlite", "config.toml", "best", "state"])
def test_a_run_with_links_is_not_touched(half_run: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "precious"
    (half_run / name).rename(target)
    (half_run / name).symlink_to(target)
    before = {path: path.read_bytes() for path in tmp_path.rglob("precious*") if path.is_file()}
    with pytest.raises(RunError, match="is a link"):
        resume(half_run)
    assert before == {path: path.read_bytes() for path in before}


def test_a_link_laid_where_a_file_is_written_is_not_followed(half_run: Path, tmp_path: Path) -> None:
    """Laid after the run was opened: what is written beside first must not go through it."""
    target = tmp_path / "precious"
    target.write_text("mine")
    with Run.open(half_run) as opened:
        (half_run / "history.jsonl.new").symlink_to(target)
        opened.rewind(1)
    assert target.read_text() == "mine"


TEMPLATES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.__init__.__globals__['os'].system('touch %s') }}",
    "{{ cycler.__init__.__globals__.os.popen('touch %s').read() }}",
    "{% for i in range(10**12) %}x{% endfor %}",
    "{% include '/etc/passwd' %}",
    "{{ raise_exception('no') }}",
]


@pytest.mark.model
@pytest.mark.parametrize("template", TEMPLATES)
def test_chat_templates_are_rendered_in_a_sandbox(tmp_path: Path, template: str) -> None:
    from hswarm.engines.chat import Chat
    from hswarm.experts.base import find_base

    for file in find_base("smollm2-135m").glob("tokenizer*"):
        shutil.copy(file, tmp_path)
    shutil.copy(find_base("smollm2-135m") / "config.json", tmp_path)
    (tmp_path / "chat_template.jinja").write_text(template.replace("%s", str(tmp_path / "burst")))
    with pytest.raises(PoolError, match="chat template cannot be used"):
        Chat(tmp_path, "evil")
    assert not (tmp_path / "burst").exists()


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202e[red]q"
    content = {split: [{"id": evil, "question": f"{evil}{split}", "answer": evil}] for split in ("dev", "test")}
    (tmp_path / f"{evil[:9]}.json").write_text(json.dumps(content))
    for words, status in ((["tasks", "show"], 0), (["tasks", "check"], 1)):  # one answer for all is a warning
        assert main([*words, str(tmp_path / f"{evil[:9]}.json")]) == status
    assert main(["search", f"/nowhere/{evil}.toml"]) == 2
    assert main(["experts", "check", f"/nowhere/{evil}"]) == 2
    out, err = capsys.readouterr()
    assert not set("\x1b\x07\u202e") & set(out + err)
    assert "[red]q" in out


def test_keys_stay_out_of_run_folders_and_output(tmp_path: Path, faulty_recipe: Path) -> None:
    key = "sk-a-very-secret-key-0123456789"
    secrets: dict[str, Any] = dict.fromkeys(("OPENAI_API_KEY", "HF_TOKEN", "HSWARM_API_KEY", "WANDB_API_KEY"), key)
    path = tmp_path / "run"
    status, out, err = run("--debug", "search", faulty_recipe, "--run", path, **secrets)
    assert status == 0
    assert key not in out + err
    assert not [file for file in path.rglob("*") if file.is_file() and key.encode() in file.read_bytes()]
    _, out, err = run("search", faulty_recipe, "--run", tmp_path / "b", faults={"raise": 1}, **secrets)
    assert key not in out + err


@pytest.mark.skipif(subprocess.run([*ISOLATED, "true"], capture_output=True).returncode != 0, reason="needs namespaces")
class TestWithoutNetwork:
    def search(self, tmp_path: Path, recipe: Any, *words: Any) -> None:
        """Without a network, and with every attempt to use one written down."""
        (tmp_path / "watch").mkdir()
        (tmp_path / "watch" / "sitecustomize.py").write_text(
            "import sys\n"
            f"def watch(event, args, file=open({str(tmp_path / 'attempts')!r}, 'a')):\n"
            "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.sendto'): print(event, args, file=file, flush=True)\n"
            "sys.addaudithook(watch)\n"
        )
        path = os.pathsep.join([str(tmp_path / "watch"), str(HERE.parent.parent / "src")])
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | {"PYTHONPATH": path}
        done = subprocess.run(
            [*ISOLATED, sys.executable, "-m", "hswarm.cli.main", "search", recipe, "--run", tmp_path / "run", *words],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "attempts").read_text() == ""

    def test_toy(self, tmp_path: Path, root: Path) -> None:
        self.search(tmp_path, root / "recipes/toy.toml", "--set", "search.iterations=2")

    @pytest.mark.model
    def test_demo(self, tmp_path: Path, root: Path) -> None:
        """The model's engine asks nobody either, though nothing in the environment forbids it."""
        small = [
            "task.dev=4",
            "task.test=4",
            "search.iterations=1",
            "search.graphs=1",
            "search.assignments=1",
            "search.nodes=2",
        ]
        self.search(tmp_path, root / "recipes/smollm2.toml", *(word for change in small for word in ("--set", change)))
