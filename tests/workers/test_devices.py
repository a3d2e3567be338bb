"""Who runs where."""

import os

import pytest

from hswarm.errors import ConfigError
from hswarm.workers.devices import Place, places


def test_each_gpu_named_has_a_worker_and_others_are_refused() -> None:
    assert places("auto", ["4", "6"]) == [Place(gpu="4"), Place(gpu="6")]
    assert places([1, 1], ["4", "6"]) == [Place(gpu="6")] * 2
    with pytest.raises(ConfigError, match="no device 2; there are 2"):
        places([0, 2], ["4", "6"])


def test_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {8, 9, 10, 11, 12}, raising=False)
    assert [place.cores for place in places([0, 1], [])] == [(8, 9), (10, 11, 12)]
    assert [place.cores for place in places([0, 1, 2, 3, 4, 5], [])] == [(8,), (9,), (10,), (11,), (12,), (8,)]
    assert [place.cores for place in places("auto", [])] == [(8, 9, 10, 11, 12)]
