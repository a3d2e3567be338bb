"""Workers as actors of a Ray cluster: anywhere, placed by GPU or cores, large things through the object store.

Ray starts an actor when there is room for it (an autoscaling cluster adds nodes), so a worker may start late.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock
from typing import Any

from hswarm.consent import check_address
from hswarm.errors import EngineError, MissingExtra
from hswarm.workers.worker import NONE_SHARED, WorkerLost, attempt

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage reports to Ray's authors
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
try:
    import ray
except ImportError as missing:
    raise MissingExtra("engine.cluster", "all") from missing

_CORES = 4  # per worker without a GPU, if a node has that many
_KEPT = 128  # objects kept in the object store


def connect(address: str, workers: int) -> None:
    """Join the cluster at `address`, or start one here ("local") with room for `workers`. EngineError if there is none.

    ConsentError for another machine's cluster that the user has not allowed, since its replies are unpickled.
    """
    if "://" in address:
        check_address(address, what="engine.cluster")
    if ray.is_initialized():
        return
    _STORE.clear()  # of an earlier cluster
    quiet: dict[str, object] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address == "local":
            cores = max(os.cpu_count() or 1, workers)
            ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except Exception as fault:  # Ray raises a bare one where its processes do not start in time
        raise EngineError(
            f"no Ray cluster at engine.cluster = '{address}' ({str(fault).splitlines()[0]}); "
            'start it (ray start --head), or set "local"'
        ) from fault


def worker_makers(workers: int, gpus: bool) -> list[Callable[..., RayWorker]]:
    """What makes a worker of (make, arguments): `workers`, or as many as the cluster holds now (0).

    With `gpus` each takes a GPU if the cluster has any.
    """
    there = ray.cluster_resources()
    cpus, found = int(there.get("CPU", 0)), int(there.get("GPU", 0))
    if gpus and found:
        return [partial(RayWorker, resources={"num_gpus": 1})] * (workers or found)
    count = workers or max(1, cpus // _CORES)
    return [partial(RayWorker, resources={"num_cpus": max(1, min(_CORES, cpus // count))})] * count


class _Store:
    """Objects in the object store, by name: each once, the most recently used are kept."""

    def __init__(self) -> None:
        self._refs: OrderedDict[str, object] = OrderedDict()
        self._lock = Lock()

    def refs(self, shared: Mapping[str, object]) -> list[object]:
        with self._lock:
            for name, value in shared.items():
                if name not in self._refs:
                    self._refs[name] = ray.put(value)
                self._refs.move_to_end(name)
            found = [self._refs[name] for name in shared]
            while len(self._refs) > _KEPT:
                self._refs.popitem(last=False)
            return found

    def clear(self) -> None:
        """Forget all, as after a loss: objects on a lost node must be stored again."""
        with self._lock:
            self._refs.clear()


_STORE = _Store()


class RayWorker:
    """A worker that is an actor."""

    def __init__(
        self, make: Callable[..., object], arguments: tuple[object, ...], resources: Mapping[str, float]
    ) -> None:
        self.lives = 0
        self._job, self._resources = (make, arguments), dict(resources)
        self._actor: Any = None

    def start(self) -> None:
        if not ray.is_initialized():  # Ray would start a cluster of its own
            self._actor = None
            raise WorkerLost("the connection to the Ray cluster has ended")
        if self._actor is None:
            self.lives += 1
            options = {"num_cpus": 0, "max_restarts": 0, "scheduling_strategy": "SPREAD", **self._resources}
            self._actor = actor = ray.remote(_Actor).options(**options).remote()
            try:
                self._answer(actor.make.remote(*self._job))
            except Exception:
                self.close()
                raise

    def call(self, method: str, *arguments: object, shared: Mapping[str, object] = NONE_SHARED) -> Any:
        actor = self._actor
        if actor is None or not ray.is_initialized():
            raise WorkerLost("the worker is not running")
        refs = _STORE.refs(shared)
        return self._answer(actor.call.remote(method, arguments, list(shared), *refs))

    def close(self) -> None:
        actor, self._actor = self._actor, None
        if actor is not None and ray.is_initialized():
            ray.kill(actor)

    def _answer(self, ref: object) -> object:
        try:
            done, result = ray.get(ref)
        except (ray.exceptions.RayError, SystemExit) as fault:  # the latter where Ray shuts down meanwhile
            self._actor = None
            _STORE.clear()
            first = str(fault).partition("\n")[0]
            raise WorkerLost(f"an actor was lost: {first}") from fault
        if not done:
            raise result
        return result


class _Actor:
    """A worker's side."""

    def __init__(self) -> None:
        self._object: object = None

    def make(self, make: Callable[..., object], arguments: tuple[object, ...]) -> tuple[bool, object]:
        def work() -> None:
            self._object = make(*arguments)

        return attempt(work)

    def call(
        self, method: str, arguments: tuple[object, ...], names: list[str], *values: object
    ) -> tuple[bool, object]:
        return attempt(lambda: getattr(self._object, method)(*arguments, dict(zip(names, values, strict=True))))
