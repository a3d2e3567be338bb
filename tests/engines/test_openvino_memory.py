"""The openvino engine's memory ends with its key-value cache: it does not grow with batches and experts."""

from dataclasses import replace

import pytest

from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.experts.pool import PoolSettings, open_pool

pytestmark = pytest.mark.model


def held():
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def test_memory_stays_as_batches_and_experts_pass(root):
    pytest.importorskip("openvino_genai")
    from hswarm.engines.openvino import OpenVINOEngine
    from hswarm.experts.adapter import Expert

    pool = open_pool(PoolSettings(path=str(root / "experts/micro/pool"), base=str(root / "experts/micro/base")))
    engine, one = OpenVINOEngine(EngineSettings("openvino", dtype="float32", batch=4), pool.base), pool.experts[0]

    def pass_by(first):
        for k in range(first, first + 40):
            expert = replace(Expert.of(f"x{k}", one.vector * (1 + k / 1000), one.form), base=one.base)
            engine.generate([Request(expert, f"tav on red cat {i}", Sampling(4)) for i in range(4)])

    pass_by(0)
    before = held()
    pass_by(40)
    assert held() - before < 15  # megabytes; each batch leaves one until the cache is full
