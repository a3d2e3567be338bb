"""One adapter learns a system's own answers: lessons from the system, a card, a table; the command goes on where it was."""

import gc
import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from hswarm.cli.main import main
from hswarm.engines.openvino import OpenVINOEngine
from hswarm.engines.transformers import TransformersEngine
from hswarm.runs.directory import Run
from hswarm.tasks import load_task, micro
from hswarm.training.train import Exam, Say, train_pool
from tests.engines.served import HSWARM

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("distil") / "run"
    small = ("budget.calls=150", "task.dev=10", "task.test=16", "search.nodes=2", 'pool.experts=["lun","wex"]')
    changes = [word for one in small for word in ("--set", one)]
    assert main(["search", str(root / "recipes/micro-tasks/both.toml"), *changes, "--run", str(path)]) == 0
    return path


def asked(folder: Path) -> list[str]:
    """The questions of the lessons in `folder`."""
    rows = map(json.loads, (folder / "lessons.jsonl").read_text().splitlines())
    return [row["prompt"].partition("Question: ")[2] for row in rows]


def test_a_run_is_distilled_once(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, held = run / "distilled", list[object]()

    def noted(recipe: Path, say: Say, exam: Exam) -> Path:
        gc.collect()
        held.extend(one for one in gc.get_objects() if type(one) in (OpenVINOEngine, TransformersEngine))
        return train_pool(recipe, say, exam)

    monkeypatch.setattr("hswarm.experiments.distil.train_pool", noted)
    command = ["distil", str(run), "--questions", "48", "--steps", "3", "--json", str(tmp_path / "told.json")]
    capsys.readouterr()
    assert main(command) == 0
    assert held == []  # training has the memory to itself
    out, err = capsys.readouterr()
    assert "distilled less the system" in out
    assert "3 steps" in err
    told = json.loads((folder / "distil.json").read_text())
    assert json.loads((tmp_path / "told.json").read_text()) == told
    assert [row["calls"] for row in told["rows"]] == [Run.open(run).best.calls, 1, 1, 1]
    assert (told["lessons"], told["rows"][0]["test"]["n"]) == (48, 16)
    assert told["calls"] > 0
    lessons = [json.loads(line) for line in (folder / "lessons.jsonl").read_text().splitlines()]
    assert Run.open(run).best.respond(asked(folder)[:4]) == [lesson["response"] for lesson in lessons[:4]]
    task = load_task(Run.open(run).recipe.task)
    assert not set(asked(folder)) & {example.question for example in (*task.dev, *task.test)}
    card = (folder / "distilled/README.md").read_text()
    assert "trained by `hswarm experts train`" in card
    weights = (folder / "distilled/adapter_model.safetensors").read_bytes()
    assert main(command) == 0
    assert "already trained, skipped" in capsys.readouterr().err
    assert json.loads((folder / "distil.json").read_text())["calls"] == 0
    assert (folder / "distilled/adapter_model.safetensors").read_bytes() == weights
    assert main(["experts", "check", str(folder)]) == 2  # a pool needs two
    (tmp_path / "mine").mkdir()
    for more, told_in in (
        (("--to", str(tmp_path / "mine")), "holds no distil.toml"),
        (("--steps", "0"), "must be at least 1"),
        (("--data", str(tmp_path / "none.jsonl")), "none.jsonl"),
    ):
        capsys.readouterr()
        assert main(["distil", str(run), *more]) == 2
        assert told_in in capsys.readouterr().err


def test_killed_in_training_it_goes_on_and_never_learns_a_question_of_the_task(run: Path, tmp_path: Path) -> None:
    task = load_task(Run.open(run).recipe.task)
    known = [*task.dev, *task.test]
    new = micro.WORLD.generate(["lun", "wex"], 40, seed=77, without={example.question for example in known})
    rows = [{"question": one.question, "answer": one.answer} for one in (*known, *new)]
    data, folder = tmp_path / "data.jsonl", tmp_path / "distilled"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [*HSWARM, "distil", str(run), "--data", str(data), "--steps", "40", "--to", str(folder)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 240
    while not list(folder.glob(".distilled.*/checkpoint-20/trainer_state.json")):
        assert first.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    first.kill()
    first.wait()
    assert not (folder / "distilled/README.md").exists()
    again = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert again.returncode == 0, again.stderr
    assert [int(step) for step in re.findall(r"step (\d+) of 40", again.stderr)] == [24, 28, 32, 36]
    told = json.loads((folder / "distil.json").read_text())
    assert told["calls"] == 0  # the system's answers were kept
    assert set(asked(folder)) == {one.question for one in new}
    assert "40 steps" in (folder / "distilled/README.md").read_text()
    assert not list(folder.glob(".distilled.*"))
