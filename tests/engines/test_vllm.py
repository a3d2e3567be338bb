"""vLLM on the micro pool: all experts in one wave as transformers answers, and names that never mean other weights."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hswarm.engines.base import Engine

pytest.importorskip("vllm")

from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.errors import ConfigError, PoolError
from hswarm.experts.adapter import Adapter
from hswarm.experts.pool import PoolSettings, open_pool

pytestmark = pytest.mark.model
SKILLS = ("tav", "wex", "tav lun wex zor", "colour", "qib gul")
QUESTIONS = [f"{skill} on red cat sings loudly here" for skill in SKILLS]


@pytest.fixture(scope="module")
def base(request: pytest.FixtureRequest) -> str:
    return str(request.config.rootpath / "experts/micro/base")


@pytest.fixture(scope="module")
def pool(request: pytest.FixtureRequest, base: str) -> Any:
    return open_pool(PoolSettings(path=str(request.config.rootpath / "experts/micro/pool"), base=base)).experts


@pytest.fixture(scope="module")
def engine(base: str) -> Engine:
    """One for all tests: vLLM keeps state of the whole process, which goes with the first model that is dropped."""
    return open_engine(EngineSettings("vllm", dtype="float32", prefix_cache="run"), base)


def wave(experts: Any, **sampling: Any) -> list[Request]:
    return [Request(expert, text, Sampling(14, **sampling)) for text in QUESTIONS for expert in experts]


def test_a_wave_of_all_experts_is_answered_as_by_transformers(engine: Engine, pool: Any, base: str) -> None:
    expected = open_engine(EngineSettings("transformers", dtype="float32"), base).generate(wave(pool))
    assert engine.generate(wave(pool)) == expected
    assert len({made.text for made in expected}) > len(QUESTIONS)  # experts differ


def test_an_expert_moved_under_its_old_name_answers_by_its_new_weights(engine: Engine, base: str, pool: Any) -> None:
    """With a cache over the run, and more experts than are held, each coming back."""
    plain = open_engine(EngineSettings("transformers", dtype="float32"), base)
    long = [" ".join(QUESTIONS * 3)]
    scales = [1.0, 0.0, -1.0, 0.5, *np.linspace(2, 3, 31), 1.0]
    tav = next(expert for expert in pool if expert.name == "tav")
    moved = [tav.with_weights(scale * np.array(tav.vector)) for scale in scales]
    asked = [[Request(expert, text, Sampling(6)) for text in [*QUESTIONS[:1], *long]] for expert in moved]
    found = [[made.text for made in engine.generate(batch)] for batch in asked]
    assert found == [[made.text for made in plain.generate(batch)] for batch in asked]
    assert len({tuple(texts) for texts in found}) > 2


def test_files_are_bounded_and_names_are_digests(pool: Any) -> None:
    from hswarm.engines.vllm import _HELD, Adapters

    adapters = Adapters()
    seen: dict[str, Any] = {}
    for step in range(_HELD + 5):
        expert = pool[0].with_weights(np.full(pool[0].size, step, np.float32), "same name")
        (request,) = adapters.requests([expert])
        assert (request.lora_name, request.lora_int_id) not in seen.values()
        seen[expert.digest] = request.lora_name, request.lora_int_id
        assert Adapter.read(request.lora_path).digest == expert.digest == request.lora_name
    assert len(list(expert_folders(adapters))) == _HELD
    first = pool[0].with_weights(np.zeros(pool[0].size, np.float32))
    (again,) = adapters.requests([first])
    assert (again.lora_name, again.lora_int_id) == seen[first.digest]


def expert_folders(adapters: Any) -> Any:
    from pathlib import Path

    return Path(adapters._folder.name).iterdir()


def test_draws_do_not_depend_on_the_batch(engine: Engine, pool: Any) -> None:
    drawn = engine.generate(wave(pool[:2], temperature=1.5, seed=1))
    assert engine.generate(wave(pool[:2], temperature=1.5, seed=1)[3:5]) == drawn[3:5]
    assert engine.generate(wave(pool[:2], temperature=1.5, seed=2)) != drawn


def test_what_it_cannot_take_is_refused(engine: Engine, pool: Any, base: str) -> None:
    with pytest.raises(PoolError, match="set engine.name = 'transformers'"):
        engine.check([Adapter.from_vector("bare", np.zeros(4, np.float32), None, base)])
    with pytest.raises(ConfigError, match="engine.devices"):
        open_engine(EngineSettings("vllm", device="mps"), base)
    (made,) = engine.generate([Request(pool[0], "cat " * 2000, Sampling(4))])
    assert (made.text, made.finish) == ("", "length")


def test_a_batch_finds_no_blocks_of_another(engine: Engine, pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `prefix_cache` "batch" its salt keeps them apart; under "run" they are found."""
    inner: Any = engine
    asked = [list(range(300, 500)) * 3]
    wanted = inner._sampling(Request(pool[0], "", Sampling(2)))

    def cached() -> int:
        adapters = inner._open([pool[0]])
        inner._batch += 1
        return int(inner._run(asked, [wanted], adapters)[0].num_cached_tokens)

    assert cached() == 0
    assert cached() > 0
    monkeypatch.setattr(inner, "_settings", replace(inner._settings, prefix_cache="batch"))
    assert [cached(), cached()] == [0, 0]


def test_experts_in_a_step_fit_a_tenth_of_the_memory(engine: Engine) -> None:
    inner: Any = engine
    a_slot = 4 * inner._rank * sum(sum(shape) for shape in inner._linears.values())
    assert [inner._mixed(memory) for memory in (0, 55 * a_slot, 10_000 * a_slot)] == [1, 5, 32]
