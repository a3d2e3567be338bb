"""An engine that breaks, hangs or raves does not break a search, and is never taken at its word."""

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hswarm.engines.base import Completion, EngineSettings, Request, Sampling
from hswarm.engines.retry import Guard
from hswarm.engines.toy import ToyEngine, toy_pool
from hswarm.errors import EngineError, PoolError
from tests.faults.harness import Result, result, run


def test_retries_help_and_leave_no_trace(tmp_path: Path, faulty_recipe: Path, whole: Result) -> None:
    """A fifth of the prompts break the engine when first asked."""
    assert run("search", faulty_recipe, "--run", tmp_path / "run", faults={"flaky": 0.2})[0] == 0
    assert result(tmp_path / "run") == whole


@pytest.mark.parametrize("most", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_out_of_memory_halves_the_batch_and_goes_on(
    tmp_path: Path, faulty_recipe: Path, whole: Result, most: int
) -> None:
    assert run("search", faulty_recipe, "--run", tmp_path / "run", faults={"memory": most})[0] == 0
    assert result(tmp_path / "run") == whole


def test_failed_calls_are_not_scored_as_wrong_answers(tmp_path: Path, faulty_recipe: Path) -> None:
    path = tmp_path / "run"
    set_all = ["--set", "engine.max_failed=1", "--set", "engine.retries=0"]
    assert run("search", faulty_recipe, "--run", path, *set_all, faults={"raise": 0.03})[0] == 0
    report = json.loads((path / "report.json").read_text(), parse_constant=pytest.fail)
    lines = [json.loads(line, parse_constant=pytest.fail) for line in (path / "history.jsonl").read_text().splitlines()]
    assert report["calls"]["failed"] > 0
    failed = [u for line in lines for step in ("role", "weight") for u in line[step]["utilities"] if u is None]
    assert failed
    assert report["dev"]["n"] == 12  # the best system answered everything


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"raise": 1.0}, "RuntimeError: the engine broke on this prompt"),
        pytest.param({"short": True}, "the engine gave", marks=pytest.mark.slow),
        pytest.param({"memory": 0}, "calls do not fit", marks=pytest.mark.slow),
        ({"worker": 3}, "the last fault was"),
    ],
)
def test_above_the_limit_the_run_stops_resumably_and_says_why(
    tmp_path: Path, faulty_recipe: Path, whole: Result, fault: dict[str, Any], said: str
) -> None:
    path = tmp_path / "run"
    status, _, err = run("search", faulty_recipe, "--run", path, faults=fault)
    assert status == 1
    assert "Traceback" not in err
    assert "engine.max_failed = 0.1" in err
    assert said in err
    assert f"hswarm resume {path}" in err
    assert run("resume", path)[0] == 0
    assert result(path) == whole


def test_a_call_that_hangs_ends_the_search_in_time(tmp_path: Path, faulty_recipe: Path, whole: Result) -> None:
    path, began = tmp_path / "run", time.monotonic()
    status, _, err = run("search", faulty_recipe, "--run", path, "--set", "engine.timeout=2", faults={"hang": 60})
    assert status == 1
    assert time.monotonic() - began < 60
    assert "no answer to" in err
    assert "in 2 s" in err
    assert run("resume", path)[0] == 0
    (history, report, _), (expected, other, _) = result(path), whole
    assert (history, report["test"]) == (expected, other["test"])


@pytest.mark.parametrize("kind", [pytest.param("empty", marks=pytest.mark.slow), "garbage"])
def test_empty_and_garbage_answers_are_counted(tmp_path: Path, faulty_recipe: Path, kind: str) -> None:
    path = tmp_path / "run"
    status, out, err = run("search", faulty_recipe, "--run", path, faults={kind: 1.0})
    assert status == 0, err
    report = json.loads((path / "report.json").read_text())
    assert (
        report["test_faults"]["found"]["empty"]
        == report["test_faults"]["best_single"]["empty"]
        == (30 if kind == "empty" else 0)
    )
    assert report["dev"]["score"] == 0
    status, out, _ = run("ask", path, "toy 0.0: steps 0; difficulty 0.20", "--trace", faults={kind: 1.0})
    assert status == (1 if kind == "empty" else 0)  # no answer is no success
    assert "\x1b" not in out


class Breaking(ToyEngine):
    """Breaks on batches that hold a poisoned request, or are too large."""

    def __init__(self, poison: Iterable[str] = (), most: int = 10**9, fault: BaseException | None = None) -> None:
        super().__init__(EngineSettings("toy"))
        self.poison, self.most, self.fault, self.asked = set(poison), most, fault, list[int]()

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.asked.append(len(requests))
        if len(requests) > self.most:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if self.poison & {request.prompt for request in requests}:
            raise self.fault or RuntimeError("broken")
        return [Completion(request.prompt, "stop", 1, 1) for request in requests]


def requests(count: int) -> list[Request]:
    expert = toy_pool().experts[0]
    return [Request(expert, str(i), Sampling()) for i in range(count)]


@given(st.integers(1, 40), st.sets(st.integers(0, 39)), st.integers(1, 50))
def test_only_the_calls_that_break_the_engine_fail(count: int, poison: set[int], most: int) -> None:
    guard = Guard(Breaking(map(str, poison), most), retries=0, timeout=0)
    made = guard.generate(requests(count))
    assert [reply.text or None for reply in made] == [None if i in poison else str(i) for i in range(count)]
    assert all((reply.finish == "failed") == (i in poison) for i, reply in enumerate(made))


def test_the_size_that_fitted_is_remembered() -> None:
    engine = Breaking(most=10)
    guard = Guard(engine)
    for _ in range(3):
        guard.generate(requests(32))
    assert engine.asked == [32, 16, *[8] * 12]


def test_the_users_mistake_is_not_retried() -> None:
    engine = Breaking("0", fault=PoolError("another base"))
    with pytest.raises(PoolError):
        Guard(engine).generate(requests(3))
    assert engine.asked == [3]


def test_interrupt_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        Guard(Breaking("0", fault=KeyboardInterrupt())).generate(requests(1))


def test_hang_is_named() -> None:
    class Hanging(ToyEngine):
        def generate(self, requests: Sequence[Request]) -> list[Completion]:
            time.sleep(5)
            return super().generate(requests)

    with pytest.raises(EngineError, match="no answer to 2 calls in 0.05 s"):
        Guard(Hanging(EngineSettings("toy")), timeout=0.05).generate(requests(2))


def test_long_searches_stay_bounded_by_choice() -> None:
    """A repel term stronger than all pulls drives particles away: named without bounds, held with them."""
    from hswarm.core.swarm import Swarm, SwarmSettings
    from hswarm.errors import NumberError

    def search(**changes: Any) -> Any:
        settings = SwarmSettings(
            inertia=1.0,
            cognitive=0.0,
            social=0.1,
            repel=5.0,
            step_length=3.0,
            step_factor=1.0,
            restart=False,
            **changes,
        )
        swarm = Swarm(
            np.random.default_rng(0).uniform(0, 1, (4, 6)).astype(np.float32), settings, np.random.default_rng(1)
        )
        for _ in range(2000):
            swarm.tell(-np.abs(swarm.ask()).max(axis=1))
        return swarm.ask()

    with pytest.raises(NumberError, match=r"particle \d of the swarm left the finite numbers in move \d+"):
        search()
    for bounds in ("clip", "rescale"):
        assert np.abs(search(bounds=bounds, bound=4.0)).max() <= 4.0
