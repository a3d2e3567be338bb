"""Training from files: what is learned shows in the score, ends early, goes on after an interruption, and is written down."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hswarm.cli.main import main
from hswarm.errors import PoolError, TaskError
from hswarm.experts.adapter import Adapter
from hswarm.experts.expert import Expert
from hswarm.training.data import Exercise
from hswarm.training.exam import exam
from hswarm.training.train import train_pool
from tests.engines.tiny import llama
from tests.known import form, known

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.filterwarnings("default")]

RECIPE = """
base = "{base}"
out = "pool"
rank = 4
alpha = 16
learning_rate = 3e-2
batch = 8
steps = {steps}
held_out = 6
validation = 6
max_new_tokens = 3
target_modules = ["q_proj", "v_proj", "up_proj", "down_proj"]
{more}
[[experts]]
name = "one"
files = ["one.jsonl"]
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("tiny") / "base", 0, spread=0.05)


def recipe(folder: Path, base: Path, steps: int = 40, more: str = "") -> Path:
    """Every question has the answer 7."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"prompt": f"What is {i}?", "response": "7"} for i in range(40)]
    (folder / "one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "pool.toml").write_text(RECIPE.format(base=base, steps=steps, more=more))
    return folder / "pool.toml"


def test_an_expert_is_trained_from_the_command_line(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["experts", "train", str(recipe(tmp_path, base, more='license = "mit"'))]) == 0
    said = capsys.readouterr().out
    assert "one: 320 examples, 40 steps" in said
    assert re.search(r"one: step 20 of 40, loss \d\.\d+, at most \d+:\d\d left, \d+:\d\d for the pool", said)
    card = (tmp_path / "pool/one/README.md").read_text()
    assert "license: mit" in card
    assert "data: one.jsonl,\n  34 distinct" in card
    assert (
        "score (exact) on 6 held-out questions asked alone: 0.00 [0.00, 0.00] before,\n  1.00 [1.00, 1.00] after"
        in card
    )
    assert sorted(path.name for path in (tmp_path / "pool").iterdir()) == ["one"]


def test_training_that_helps_no_more_ends_early_with_the_best_weights(base: Path, tmp_path: Path) -> None:
    said = list[str]()
    # the learning rate is zero at once after the first steps: the loss on validation cannot fall
    out = train_pool(recipe(tmp_path, base, 200, "early_stop = 2"), said.append, exam)
    card = (out / "one/README.md").read_text()
    assert int(known(re.search(r"- (\d+) steps \(of at most 200; ended early\)", card))[1]) < 200
    assert any("validation loss" in line for line in said)
    assert "score 0.00 -> 1.00" in said[-1]


def test_strength_multiplies_the_finished_update(base: Path, tmp_path: Path) -> None:
    plain, strong = (
        Adapter.read(train_pool(recipe(tmp_path / name, base, 4, more)) / "one")
        for name, more in (("plain", ""), ("strong", "strength = 1.5"))
    )
    assert (form(plain).scaling(""), form(strong).scaling("")) == (4, 6)
    assert np.array_equal(plain.vector, strong.vector)
    card = (tmp_path / "strong/pool/one/README.md").read_text()
    assert "alpha 24" in card
    assert "then multiplied by 1.5" in card


def test_training_goes_on_from_another_adapter(base: Path, tmp_path: Path) -> None:
    first = train_pool(recipe(tmp_path / "first", base, 20), lambda text: None, exam)
    after = known(re.search(r"before, (\d\.\d+) after", (first / "one/README.md").read_text()))[1]
    second = recipe(tmp_path / "second", base, 2, 'start = "../first/pool/one"')
    card = (train_pool(second, lambda text: None, exam) / "one/README.md").read_text()
    start = known(re.search(r"held-out lessons: (\d\.\d+) before", card))[1]
    assert float(start) == pytest.approx(float(after), abs=0.02)  # weights are rounded where they are kept
    assert "trained by `hswarm experts train`, starting from one." in card


def test_a_start_of_another_form_is_refused(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_pool(recipe(tmp_path / "first", base, 2), lambda text: None)
    second = recipe(tmp_path / "second", base, 2, 'start = "../first/pool/one"')
    second.write_text(second.read_text().replace("alpha = 16", "alpha = 8"))
    assert main(["experts", "train", str(second)]) == 2
    said = capsys.readouterr().err
    assert "start '../first/pool/one' is not an adapter of this recipe's rank, alpha and target_modules" in said
    assert "alpha 16; the recipe has" in said


def test_interrupted_training_goes_on(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import Trainer

    whole = train_pool(recipe(tmp_path / "whole", base, 20), lambda text: None, exam)
    step, trained = Trainer.training_step, []

    def dying(self: Any, *arguments: Any, **named: Any) -> Any:
        trained.append(self.state.global_step)
        if len(trained) == 15:
            raise KeyboardInterrupt
        return step(self, *arguments, **named)

    monkeypatch.setattr(Trainer, "training_step", dying)
    with pytest.raises(KeyboardInterrupt):
        train_pool(recipe(tmp_path / "cut", base, 20), lambda text: None, exam)
    (scratch,) = (tmp_path / "cut/pool").glob(".one.*")
    (scratch / "checkpoint-19").mkdir()  # as a crash in the middle of writing one leaves it
    measured = list[str]()

    def counted(expert: Expert, exercises: Sequence[Exercise], scorer: str, max_new_tokens: int) -> NDArray[np.float64]:
        measured.append(expert.name)
        return exam(expert, exercises, scorer, max_new_tokens)

    out = train_pool(recipe(tmp_path / "cut", base, 20), lambda text: None, counted)
    assert trained[14:] == [14, *range(10, 20)]
    assert len(measured) == 1  # the base was scored before
    np.testing.assert_allclose(Adapter.read(out / "one").vector, Adapter.read(whole / "one").vector, atol=1e-2)
    assert (out / "one/README.md").read_text().split("settings")[0] == (whole / "one/README.md").read_text().split(
        "settings"
    )[0]


def test_lessons_that_are_too_long_are_counted_or_refused(base: Path, tmp_path: Path) -> None:
    path, said = recipe(tmp_path, base, 2, "max_tokens = 21"), list[str]()
    train_pool(path, said.append)
    assert re.search(r"one: \d+ examples, 2 steps, \d+ too long", said[0])
    with pytest.raises(TaskError, match="every lesson has more than 5 tokens; raise max_tokens"):
        train_pool(recipe(tmp_path / "x", base, 2, "max_tokens = 5"), said.append)


def test_training_that_diverges_is_named(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import Trainer

    monkeypatch.setattr(Trainer, "evaluate", lambda self, rows=None: {"eval_loss": float("nan")})
    with pytest.raises(PoolError, match=r"training of 'one' diverged \(loss nan\); lower learning_rate \(it is 0.03\)"):
        train_pool(recipe(tmp_path, base, 1), lambda text: None)


def test_a_base_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    folder = llama(tmp_path / "base", 0)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(PoolError, match="has no chat template; choose an instruction-tuned base"):
        train_pool(recipe(tmp_path, folder, 1), lambda text: None)
