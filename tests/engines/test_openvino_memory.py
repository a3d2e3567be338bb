"""The openvino engine's memory ends with `prefix_bytes`: it does not grow with batches and experts."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.model

PASSING_BY = """
import sys
from dataclasses import replace
from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.engines.openvino import OpenVINOEngine
from hswarm.experts.adapter import Adapter
from hswarm.experts.pool import PoolSettings, open_pool

pool = open_pool(PoolSettings(path=sys.argv[1] + "/pool", base=sys.argv[1] + "/base"))
engine, one = OpenVINOEngine(EngineSettings("openvino", dtype="float32", batch=4, prefix_bytes=2**24), pool.base), pool.experts[0]
for k in range(240):
    if k in (120, 239):
        print(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
    expert = replace(Adapter.from_vector(f"x{k}", one.vector * (1 + k / 1000), one.form), base=one.base)
    engine.generate([Request(expert, f"tav on red cat {i}", Sampling(4)) for i in range(4)])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow
def test_memory_stays_as_batches_and_experts_pass(root: Path) -> None:
    pytest.importorskip("openvino")
    said = subprocess.run(
        [sys.executable, "-c", PASSING_BY, str(root / "experts/micro")], capture_output=True, text=True
    )
    before, after = map(int, said.stdout.split())
    assert after - before < 15_000, said.stderr  # kB; each batch leaves a thousand until there is no more room
