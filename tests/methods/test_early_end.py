"""Looking ahead leaves calls out and changes nothing else; racing leaves out more and says what it is."""

import json

import numpy as np
import pytest

from hswarm.config.recipe import build_recipe
from hswarm.engines.base import Completion
from hswarm.engines.toy import ToyEngine
from hswarm.errors import ConfigError
from hswarm.experiments.search import resume, search
from hswarm.runs.directory import Run
from tests.conftest import Interrupt, toy_content


def content(mode, seed=0, **search):
    made = toy_content(nodes=3, graphs=5, iterations=5, patience=5, early_end=mode, **search)
    made["task"] |= {"dev": 24, "test": 4}
    return made | {"seed": seed}


def path_of(folder):
    """All that the search went by: topologies, weight-steps, bests, both swarms at the end."""
    run = Run.open(folder)
    history = [
        {"edges": line["role"]["edges"], "weight": line["weight"], "best": line["best"]} for line in run.history()
    ]
    tensors, state = run.load_state()
    swarms = {name: tensor.tolist() for name, tensor in tensors.items() if name.startswith(("role.", "weight."))}
    best = {str(f.relative_to(folder)): f.read_bytes() for f in sorted((folder / "best").rglob("*")) if f.is_file()}
    return history, swarms, [state[name] for name in ("now", "first", "finalists", "stalled", "role", "weight0")], best


@pytest.mark.parametrize("seed", range(2))
def test_exact_is_the_same_search_with_fewer_calls(tmp_path, seed):
    whole = search(build_recipe(content("off", seed)), tmp_path / "whole").report
    early = search(build_recipe(content("exact", seed)), tmp_path / "early").report
    assert path_of(tmp_path / "whole") == path_of(tmp_path / "early")
    assert [whole[key] for key in ("dev", "test", "topology", "found_at")] == [
        early[key] for key in ("dev", "test", "topology", "found_at")
    ]
    assert early["calls"]["requested"] + early["calls"]["skipped"] == whole["calls"]["requested"]
    assert whole["calls"]["skipped"] == 0


@pytest.mark.parametrize(("steps", "topology"), [(["role"], "best"), (["role", "weight"], "iteration")])
def test_exact_in_other_settings_of_the_loop(tmp_path, steps, topology):
    for mode in ("off", "exact"):
        search(build_recipe(content(mode, steps=steps, weight_topology=topology)), tmp_path / mode)
    off, exact = (Run.open(tmp_path / mode) for mode in ("off", "exact"))
    assert [line["role"]["edges"] for line in off.history()] == [line["role"]["edges"] for line in exact.history()]
    assert off.report["dev"] == exact.report["dev"]


@pytest.mark.parametrize("after", [40])
def test_an_interrupted_early_end_resumes_byte_equal(tmp_path, after):
    recipe = build_recipe(content("exact"))
    search(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        search(recipe, tmp_path / "broken", Interrupt(after))
    resume(tmp_path / "broken")
    assert (tmp_path / "whole/history.jsonl").read_bytes() == (tmp_path / "broken/history.jsonl").read_bytes()
    assert path_of(tmp_path / "whole") == path_of(tmp_path / "broken")


def test_a_failed_call_ends_the_looking_ahead(tmp_path, monkeypatch):
    """With failures any system may turn out as nan, so nothing can be left out that one of them was compared with."""
    answer = ToyEngine.generate

    def failing(self, requests):
        return [
            Completion("", "failed", 0, 0) if "done 1" in request.prompt and "toy 0.3" in request.prompt else made
            for request, made in zip(requests, answer(self, requests), strict=True)
        ]

    monkeypatch.setattr(ToyEngine, "generate", failing)
    for mode in ("off", "exact"):
        search(build_recipe(content(mode)), tmp_path / mode)
    assert path_of(tmp_path / "off") == path_of(tmp_path / "exact")


def test_racing_leaves_out_more(tmp_path):
    skipped = {}
    for mode in ("exact", "racing"):
        reports = [search(build_recipe(content(mode, seed)), tmp_path / f"{mode}{seed}").report for seed in range(2)]
        skipped[mode] = np.sum([report["calls"]["skipped"] / report["calls"]["requested"] for report in reports])
        assert all(report["dev"]["n"] == 24 for report in reports)  # the found system is always scored whole
    assert skipped["racing"] > skipped["exact"]


def test_early_end_and_a_budget_are_refused_together():
    with pytest.raises(ConfigError, match="cannot keep a budget"):
        build_recipe(content("exact") | {"budget": {"calls": 100}})


def test_history_says_what_was_left_out(tmp_path):
    search(build_recipe(content("exact", seed=1)), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()]
    assert lines[0]["calls"]["skipped"] == 0
    assert lines[-1]["calls"]["skipped"] > 0
