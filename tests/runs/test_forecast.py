"""A forecast from a few questions against what came."""

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hswarm.cli.main import main
from hswarm.config.recipe import Recipe, build_recipe
from hswarm.errors import RunError
from hswarm.experiments.forecast import _Batch, fit_seconds, forecast
from hswarm.experiments.search import search
from hswarm.methods.hswarm import Search
from hswarm.runs.cost import Cost, Forecast, clock
from hswarm.session.session import Session
from tests.conftest import toy_content
from tests.known import known
from tests.runs import timed


def recipe(**engine: Any) -> Recipe:
    content = toy_content(nodes=4, graphs=4, assignments=4, iterations=2)
    content["engine"] = {"name": "tests.runs.timed:Timed", "batch": 16} | engine
    content["task"] |= {"dev": 32, "test": 20, "options": {"toy": {"steps": 4}}}
    return build_recipe(content)


@pytest.fixture(autouse=True)
def _timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`timed:Timed` has toy experts."""
    from hswarm.engines.toy import toy_pool

    monkeypatch.setattr("hswarm.session.session.open_pool", lambda settings: toy_pool(4))
    monkeypatch.setattr("hswarm.session.session.check_tokenizers", lambda pool, path: None)
    virtual = SimpleNamespace(perf_counter=lambda: timed.clock[0], monotonic=time.monotonic)
    monkeypatch.setattr("hswarm.experiments.forecast.time", virtual)


def test_forecast_and_outcome_are_compared_in_the_report(tmp_path: Path) -> None:
    run = search(recipe(), tmp_path / "run", calibrate=True)
    found = run.report.forecast
    assert set(found) == {"calls", "prompt tokens", "reply tokens", "seconds", "memory"}
    assert abs(known(found["calls"].off)) < 0.25
    assert abs(known(found["prompt tokens"].off)) < 0.25
    assert abs(known(found["reply tokens"].off)) < 0.25
    assert found["calls"].came == run.report.calls.generated
    assert 0 < found["memory"].forecast <= found["memory"].came
    again = search(recipe(), tmp_path / "plain")
    assert not again.report.forecast
    assert again.history() == run.history()  # calibrating changes nothing


def test_seconds_are_forecast_from_a_few_questions() -> None:
    settings = recipe()
    session = Session.load(settings)
    made = forecast(session)
    began = timed.clock[0]
    evaluator = replace(session, task=replace(session.task, test=())).evaluator
    Search(session.pool, evaluator, np.random.default_rng(settings.seed)).go()
    came = timed.clock[0] - began
    said = made.whole(2).seconds - made.test.seconds
    assert abs(said / came - 1) < 0.25
    assert made.questions == 4


def test_two_devices_take_half_the_time() -> None:
    settings = recipe()
    one = forecast(Session.load(settings)).whole(2)
    settings = recipe(devices=[0, 1], device="cpu")
    two = forecast(replace(Session.load(recipe()), recipe=settings)).whole(2)
    assert two.generated == one.generated
    assert 0.45 < two.seconds / one.seconds < 0.75


def test_seconds_are_those_of_the_batches() -> None:
    rng = np.random.default_rng(0)
    rows = [(float(rng.integers(50, 5000)), float(rng.integers(5, 400))) for _ in range(40)]
    rates = fit_seconds([_Batch(p, c, (0.2 + 0.001 * p + 0.01 * c)) for p, c in rows])
    assert rates == pytest.approx([0.2, 0.001, 0.01], rel=0.01)
    flat = fit_seconds([_Batch(100.0, 10.0, 1.0)] * 5)
    assert (flat >= 0).all()
    assert flat @ [1, 100, 10] == pytest.approx(1.0)


def test_plan_forecasts_from_the_command_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", str(root / "recipes/toy.toml"), "--set", "search.iterations=3", "--set", "search.patience=1"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "forecast for 3 iterations" in said
    assert "forecast for 2 iterations" in said
    assert main([*words, "--quick"]) == 0
    assert "forecast" not in capsys.readouterr().out


def test_growth_is_forecast_by_its_budget(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", str(root / "recipes/toy.toml"), "--set", 'search.method="growth"', "--set", "budget.calls=500"]
    assert main(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "forecast for the budget: 2,300 of 2,300 calls made" in said  # 500, and 200 test questions x (1 + 2 x 4)
    assert "calibrated with 96 calls" in said


def test_growth_and_its_forecast_are_compared_in_the_report(tmp_path: Path) -> None:
    grown = recipe().model_copy(update={"search": replace(recipe().search, method="growth")})
    few = replace(grown.task, test=4)  # what the search takes is foreseen; on test start and system may share calls
    grown = grown.model_copy(update={"budget": replace(grown.budget, calls=300), "task": few})
    run = search(grown, tmp_path / "run", calibrate=True)
    found = run.report.forecast
    assert abs(known(found["calls"].off)) < 0.1
    rates = [found["prompt tokens"].forecast / found["calls"].forecast, run.report.tokens.prompt / found["calls"].came]
    assert rates[0] == pytest.approx(rates[1], rel=0.25)


def test_a_forecast_is_kept_as_it_was(tmp_path: Path) -> None:
    made = Forecast(Cost(1, 2, 3, 4, 5), (Cost(6), Cost(7)), Cost(8), 9, 1, 3, 0.5)
    made.write(tmp_path / "forecast.json")
    assert Forecast.read(tmp_path / "forecast.json") == made
    (tmp_path / "forecast.json").write_text('{"start": 1}')
    with pytest.raises(RunError, match="is not a forecast as hswarm writes it"):
        Forecast.read(tmp_path / "forecast.json")
    assert made.whole(4).requested == 1 + 6 + 7 * 3 + 8
    assert [clock(s) for s in (30, 300, 9000, 400_000)] == ["30 s", "5 min", "2.5 h", "4.6 days"]
