"""What tests run in worker processes; imports little, since each worker does so anew."""

import os
import signal
import time
from typing import Any

from hswarm.engines.base import Completion, EngineSettings
from hswarm.engines.parallel import EngineWorker
from hswarm.engines.toy import ToyEngine


class Slow(ToyEngine):
    """Takes a while, so that it can be killed at it; `poison` kills its process whenever it is asked."""

    def generate(self, requests: Any) -> Any:
        time.sleep(0.002 * len(requests))
        if any(request.prompt == "poison" for request in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(request.prompt == "hang" for request in requests):
            time.sleep(60)
        return super().generate(requests)


class Told(EngineWorker):
    """A bench that tells its process."""

    def process(self, shared: Any) -> Any:
        return os.getpid()


def open_slow(batch: Any) -> Told:
    return Told(Slow(EngineSettings("toy", batch=batch)))


def open_faulty(fault: Any) -> None:
    raise fault


class Pinned(ToyEngine):
    """Replies with the cores it may use, after a while."""

    def batches(self, requests: Any) -> list[list[Any]]:
        return [[i] for i in range(len(requests))]

    def generate(self, requests: Any) -> list[Completion]:
        time.sleep(0.02)
        return [Completion(str(sorted(os.sched_getaffinity(0))), "stop", 1, 1) for _ in requests]
