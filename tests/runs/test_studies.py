"""The paper's further studies from the command line, on the toy engine and the micro pool."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hswarm.cli.main import main
from hswarm.config.recipe import read_recipe
from hswarm.core.gain import collaborative_gain
from hswarm.experiments import paper

SMALL = ["--seeds", "1", "--budget-calls", "150", "--set", "task.dev=6", "--set", "task.test=8"]


def study(name: str, folder: Path, *words: str | Path) -> Any:
    """`hswarm study`; its numbers, which each study nests in its own way."""
    assert main(["study", name, *map(str, words), "--run", str(folder)]) == 0
    found = json.loads((folder / "study.json").read_text())
    assert (folder / "study.md").read_text().startswith(f"## {found['title']}")
    return found["numbers"]


def cell(folder: Path, *place: str) -> list[float]:
    """The test scores of one cell."""
    scores: list[float] = json.loads((folder.joinpath(*place) / "result.json").read_text())["test"]
    return scores


@pytest.mark.model
def test_the_best_expert_and_the_better_half_are_left_out(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(root / "recipes/micro-tasks/both.toml")
    words = [recipe, "--methods", "random_search", *SMALL]
    numbers = study("weak", tmp_path / "weak", *words)
    (best,) = json.loads((tmp_path / "weak/both/best_single/0/result.json").read_text())["experts"]
    assert list(numbers) == [
        "best single expert",
        "random_search with all experts",
        f"random_search without {best} (the best)",
        "random_search with the weaker half alone",
    ]
    assert numbers["random_search with all experts"] == np.mean(cell(tmp_path, "weak", "both", "random_search", "0"))
    pools = {
        label: read_recipe(tmp_path / f"weak/recipes/both-{label}.toml").pool.experts
        for label in ("without-best", "weaker-half")
    }
    assert set(pools["without-best"]) == set(read_recipe(recipe).pool.experts) - {best}
    assert len(pools["weaker-half"]) == 3
    assert set(pools["weaker-half"]) < set(pools["without-best"])
    page = (tmp_path / "weak/study.md").read_text()
    assert page.startswith("## Weak beats strong")
    assert "both, 8 test questions, 1 seed:" in page
    capsys.readouterr()
    assert study("weak", tmp_path / "weak", *words) == numbers
    assert "3 of 3 results are there already" in capsys.readouterr().err


@pytest.mark.model
def test_systems_are_carried_to_other_tasks(root: Path, tmp_path: Path) -> None:
    """To the task they were found on, they score what they scored; the expert best at home knows no chain of two."""
    both, chain = (str(root / f"recipes/micro-tasks/{name}.toml") for name in ("both", "chain-two"))
    home = tmp_path / "home.toml"
    home.write_text(read_recipe(both, ["task.dev=6", "task.test=8"]).to_toml())
    words = [str(home), "--methods", "random_search", "--seeds", "2", "--budget-calls", "150"]
    numbers = study("transfer", tmp_path / "out", *words, "--to", home, "--to", chain)
    for method in ("best_single", "random_search"):
        scores = [cell(tmp_path, "out", "both", method, str(seed)) for seed in range(2)]
        assert numbers["home.toml"][method] == pytest.approx(np.mean(scores))
    assert numbers["chain-two.toml"]["best_single"] == 0


def test_c_gain_of_methods(root: Path, tmp_path: Path) -> None:
    toy = str(root / "recipes/toy.toml")
    words = [toy, "--methods", "best_single,random_search", "--seeds", "2", *SMALL[2:]]
    numbers = study("gain", tmp_path / "gain", *words)
    assert numbers.keys() == {"toy best_single", "toy random_search"}
    # a system that is the best single expert gains what that expert does beyond one drawn at random
    assert numbers["toy best_single"] >= 0


def test_c_gain_of_several_runs_is_the_mean_of_theirs() -> None:
    alone, rng = np.array([[1, 0, 0, 1], [1, 1, 0, 0]]), np.random.default_rng(0)
    runs = np.array([[1, 1, 1, 0], [1, 0, 0, 1]])
    each = [collaborative_gain(run, alone, rng) for run in runs]
    both = collaborative_gain(runs.mean(axis=0), alone, rng)
    assert both.value == pytest.approx(np.mean([one.value for one in each]))
    assert both.nobody.accuracy == 0.5


def test_rivals_and_ablations_name_what_matters_more(root: Path, tmp_path: Path) -> None:
    words = [str(root / "recipes/toy.toml"), "--methods", "macnet,greedy_soup", *SMALL]
    numbers = study("importance", tmp_path / "importance", *words)
    assert numbers["tasks"] == 1
    row = (tmp_path / "importance/study.md").read_text().splitlines()[-1].split(" | ")
    scores = {name: np.mean(cell(tmp_path, "importance", "toy", name, "0")) for name in ("macnet", "greedy_soup")}
    assert [float(text) for text in row[4:6]] == pytest.approx([scores["macnet"], scores["greedy_soup"]], abs=5e-4)
    assert row[-1].strip(" |") in ("roles", "weights", "equal")


def test_the_paper_s_figures_agree_in_ten_of_twelve_tasks() -> None:
    assert len(paper.importance_agrees()) == 10


def test_more_devices_take_less_time(root: Path, tmp_path: Path) -> None:
    numbers = study("devices", tmp_path / "devices", root / "recipes/toy.toml", "--devices", "1,2,4")
    assert list(numbers) == ["1", "2", "4"]
    assert numbers["1"] > numbers["2"] >= numbers["4"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["wek", "TOY"], "no study 'wek'; did you mean 'weak'?"),
        (["weak", "TOY"], "needs experts that toy names"),
        (["weak", "TOY", "TOY"], "study weak takes one recipe, got 2"),
        (["sizes", "MICRO"], "needs experts of several bases"),
        (["transfer", "TOY"], "study transfer needs other tasks: --to TASK"),
        (["importance", "TOY", "--methods", "chain"], "needs methods of roles (agent_prune"),
        (["devices", "TOY", "--devices", "1,zero"], "--devices takes whole numbers of 1 or more"),
        (["gain", "TOY", "--methods", "hswrm"], "did you mean 'hswarm'?"),
        (["gain", "TOY", "--seeds", "0"], "--seeds and --jobs must be at least 1"),
    ],
)
def test_mistakes_end_on_one_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    files = {"TOY": root / "recipes/toy.toml", "MICRO": root / "recipes/micro-tasks/both.toml"}
    assert main(["study", *(str(files.get(word, word)) for word in words), "--run", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_studies_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "studies"]) == 0
    names = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert names[1:] == ["devices", "gain", "importance", "sizes", "transfer", "weak"]
