"""The engine openvino: a reply is the same whatever was read before it, whatever is beside it and however little room
there is; what was read is not read again."""

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hswarm.cli.main import main
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Request, Sampling, close
from hswarm.engines.parallel import divided
from hswarm.errors import EngineError
from hswarm.experts.pool import ExpertPool, PoolSettings, open_pool
from hswarm.prompts import Prompts
from hswarm.tasks.task import Example
from tests.faults.harness import begun, result, run, start

pytest.importorskip("openvino")
pytestmark = pytest.mark.model

QUESTIONS = [f"tav gul on {color} cat {verb} twice here" for color in ("red", "blue") for verb in ("sleeps", "runs")]


@pytest.fixture(scope="module")
def pool(root: Path) -> ExpertPool:
    micro = root / "experts/micro"
    return open_pool(PoolSettings(path=str(micro / "pool"), base=str(micro / "base")))


def requests(pool: ExpertPool, **sampling: Any) -> list[Request]:
    """Six experts, blends among them, and what each is asked as the first, the second and the fourth to answer."""
    blends = pool.blends([[0.5, 0.5, *[0.0] * 8], [0.0, 0.25, 0.75, *[0.0] * 7]], ["one", "other"])
    said = ["tav on blue cat runs badly outside", "blue cat sleeps twice here", "red crow runs above"]
    return [
        Request(expert, Prompts().render(Example("", question, ""), said[:count]), Sampling(14, **sampling))
        for expert in [*pool.experts[:4], *blends]
        for question in QUESTIONS[:2]
        for count in (0, 1, 3)
    ]


def opened(pool: ExpertPool, **settings: Any) -> Any:
    return open_engine(EngineSettings("openvino", dtype="float32", **settings), pool.base)


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.5, "top_p": 0.9}])
@pytest.mark.slow
def test_replies_depend_on_neither_order_nor_batch_nor_what_was_read(pool: ExpertPool, sampling: Any) -> None:
    asked = requests(pool, **sampling)
    expected = opened(pool, batch=200).generate(asked)
    assert len({made.text for made in expected}) > 5
    others: list[dict[str, Any]] = [
        {"batch": 1, "prefix_cache": "batch"},
        {"batch": 7},
        {"batch": 64, "prefix_bytes": 0},
        {"prefix_bytes": 200_000},
    ]
    for seed, settings in enumerate(others):
        engine, order = opened(pool, **settings), random.Random(seed).sample(range(len(asked)), len(asked))
        for few in (order[:20], order[20:]):
            assert engine.generate([asked[i] for i in few]) == [expected[i] for i in few], settings
        assert engine.generate(asked) == expected, settings


def test_likelihoods_depend_on_no_other_request(pool: ExpertPool) -> None:
    options = (("red", "red cat runs"), ("red cat sleeps twice", "red cat sleeps twice here"), ("red c", "blue cat"))
    asked = [
        replace(request, sampling=Sampling(choose=choose), options=options)
        for request in requests(pool)[:12]
        for choose in ("letter", "text")
    ]
    together = opened(pool).loglikelihood(asked)
    engine = opened(pool, prefix_bytes=0)
    engine.generate([replace(request, options=()) for request in asked[::5]])
    assert [engine.loglikelihood([request])[0] for request in asked[::-1]][::-1] == together
    assert all(len(made.logs) == 3 and max(made.logs) < 0 for made in together)


def test_what_was_read_is_not_read_again(pool: ExpertPool) -> None:
    engine, without = opened(pool), opened(pool, prefix_cache="batch")
    expert = pool.experts[0]

    def new(engine: Any, prompt: str) -> int:
        before = engine.tokens_computed
        (made,) = engine.generate([Request(expert, prompt, Sampling(1))])
        assert made.prompt_tokens > 50
        return int(engine.tokens_computed - before)

    worked = "\n\n".join(f"Question: tav on red cat runs {word}\nAnswer: red cat runs" for word in ("here", "above"))
    one, other = (Prompts(icl=worked).render(Example("", question, "")) for question in QUESTIONS[:2])
    assert new(engine, one) == new(without, one)
    assert new(without, other) > 50
    assert new(engine, other) < 20  # worked examples and instruction were read with the first question
    assert new(engine, one) == 2


def test_a_prompt_without_room_is_refused(pool: ExpertPool) -> None:
    with pytest.raises(EngineError, match=r"set a larger engine\.prefix_bytes"):
        opened(pool, prefix_bytes=0).generate([Request(pool.experts[0], QUESTIONS[0], Sampling(100_000))])


def test_a_wave_is_divided_among_workers(pool: ExpertPool) -> None:
    """Once they know that no reply depends on its batch; the replies are those of one process."""
    asked = requests(pool)
    expected = opened(pool).generate(asked)
    engine = opened(pool, devices=(0, 1), batch=200)
    try:
        assert engine.generate(asked) == expected
        assert [len(batch) for batch in engine.batches(asked)] == [18, 18]
        assert engine.generate(asked) == expected
    finally:
        close(engine)


def test_pieces_are_even() -> None:
    assert divided([range(10), range(10, 13)], 2) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12]]
    assert divided([range(5)], 4) == [[0, 1], [2, 3, 4]]
    assert divided([], 4) == []


@pytest.mark.skipif(sys.platform != "linux", reason="kill -9")
@pytest.mark.slow
def test_a_killed_search_ends_as_one_that_was_not(root: Path, tmp_path: Path) -> None:
    """What was read before the kill is gone after it, and the end is equal byte for byte."""
    words = [root / "recipes/demo.toml", "--set", "budget.calls=250", "--set", "task.test=20"]
    words += ["--set", "engine.name=openvino"]
    assert run("search", *words, "--run", tmp_path / "whole", seconds=500)[0] == 0
    process = start("search", *words, "--run", tmp_path / "killed")
    begun(tmp_path / "killed", 2)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed" / "report.json").exists()
    assert run("resume", tmp_path / "killed", seconds=500)[0] == 0
    assert result(tmp_path / "killed") == result(tmp_path / "whole")


def test_weights_of_eight_bits_are_made_once_and_answer_as_float32_does(
    pool: ExpertPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = requests(pool)
    expected = opened(pool, batch=64).generate(asked)
    engine = open_engine(EngineSettings("openvino", dtype="int8"), pool.base)
    got = engine.generate(asked)
    same = sum(one.text == other.text for one, other in zip(got, expected, strict=True))
    assert same >= 0.8 * len(asked)  # they round, so a near tie may go the other way
    assert got != expected or engine.fingerprint != opened(pool).fingerprint
    (folder,) = (tmp_path / "hswarm/models").glob("*-int8")
    made = (folder / "shape.json").stat().st_mtime_ns
    again = open_engine(EngineSettings("openvino", dtype="int8"), pool.base)
    assert again.generate(asked[:4]) == got[:4]
    assert (folder / "shape.json").stat().st_mtime_ns == made


def test_other_engines_refuse_int8_on_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = str(root / "recipes/micro.toml")
    assert main(["search", recipe, "--set", "engine.name=transformers", "--set", "engine.dtype=int8"]) == 2
    assert "engine.dtype = 'int8' is for engine.name = 'openvino'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "batch", "sizes"),
    [
        ("openvino", 0, [128, 72]),
        ("openvino", "auto", [128, 72]),
        ("openvino", 150, [150, 50]),
        ("transformers", 0, [32] * 6 + [8]),
    ],
)
def test_batches_are_larger_than_those_of_other_engines(
    pool: ExpertPool, name: str, batch: Any, sizes: list[int]
) -> None:
    engine = open_engine(EngineSettings(name, dtype="float32", batch=batch), pool.base)
    asked = [Request(pool.experts[0], f"Question: {i} red cats", Sampling(4)) for i in range(200)]
    assert list(map(len, engine.batches(asked))) == sizes
