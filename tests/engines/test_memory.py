"""`engine.batch = "auto"` on the micro pool: batches follow the memory that is free, and one too large is halved."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.model, pytest.mark.slow]

CASES = {"little": ("auto", 600), "much": ("auto", 2400), "too large": (256, 300)}  # batch, megabytes that may be taken
CODE = """
import json, resource, sys
import psutil
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.engines.retry import Guard
from hswarm.experts.pool import PoolSettings, open_pool

folder, cases = sys.argv[1], json.loads(sys.argv[2])
pool = open_pool(PoolSettings(path=f"{folder}/pool", base=f"{folder}/base", space="delta"))
asked = [Request(pool.experts[0], f"{i} " + "red cat " * 60, Sampling(max_new_tokens=2)) for i in range(256)]
made = {}
for name, (batch, megabytes) in {"warm": ("auto", 0), **cases}.items():
    engine = open_engine(EngineSettings(dtype="float32", batch=batch), pool.base)
    if not megabytes:  # what a first call allocates for good
        engine.generate(asked[:2])
        continue
    size = psutil.Process().memory_info().vms + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
    guard = Guard(engine, retries=0)
    batches = engine.batches(asked)
    replies = [reply for batch in batches for reply in guard.generate([asked[i] for i in batch])]
    made[name] = [[len(batch) for batch in batches], guard.most, sum(reply.finish == "failed" for reply in replies)]
print(json.dumps(made))
"""


@pytest.fixture(scope="module")
def made(root: Path) -> dict[str, tuple[list[int], int | None, int]]:
    """The sizes of batches, the size that running out of memory left, and calls without a reply, by case."""
    words = [sys.executable, "-c", CODE, str(root / "experts/micro"), json.dumps(CASES)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # threads take addresses of their own
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, tuple[list[int], int | None, int]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_batches_follow_free_memory_and_fit(made: dict[str, tuple[list[int], int | None, int]]) -> None:
    little, much = made["little"], made["much"]
    assert (*little[1:], *much[1:]) == (None, 0, None, 0)  # none was too large
    assert much[0][0] == 4 * little[0][0]


def test_a_batch_that_is_too_large_is_halved(made: dict[str, tuple[list[int], int | None, int]]) -> None:
    sizes, most, failed = made["too large"]
    assert (sizes, failed) == ([256], 0)
    assert most in (128, 64, 32, 16)
