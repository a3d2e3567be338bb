"""Trackers: real ones, read back by their own readers; what fails or hangs there never stops a run."""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hswarm.config.recipe import Recipe, build_recipe
from hswarm.errors import ConfigError
from hswarm.experiments.search import resume, search
from hswarm.report import tracking as track
from hswarm.report.tracking import Tracker, metrics, outcome
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress
from tests.conftest import toy_content
from tests.known import known, score


class Told(Progress):
    """Notes what was said."""

    def __init__(self) -> None:
        self.lines = list[str]()

    def say(self, text: str) -> None:
        self.lines.append(text)


def tracked_recipe(to: Any, folder: Path) -> Recipe:
    return build_recipe(toy_content() | {"track": {"to": to, "folder": str(folder)}})


def read_tensorboard(folder: Path, name: Any) -> tuple[dict[str, Any], Any, Any]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    place = folder / "tensorboard" / "hswarm" / name
    events = EventAccumulator(str(place))
    events.Reload()
    scalars = {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}
    (config,) = place.glob("*/hparams.yml")
    return scalars, config.read_text(), {path.name for path in place.iterdir()}


def read_mlflow(folder: Path, name: Any) -> tuple[dict[str, Any], Any, Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'hswarm'")
    (run,) = client.search_runs([experiment.experiment_id])
    scalars = {
        key: {m.step: m.value for m in client.get_metric_history(run.info.run_id, key)} for key in run.data.metrics
    }
    return scalars, json.dumps(run.data.params), {file.path for file in client.list_artifacts(run.info.run_id)}


def read_trackio(folder: Path, name: Any) -> tuple[dict[str, Any], Any, Any]:
    from trackio import Api
    from trackio.sqlite_storage import SQLiteStorage

    scalars = dict[str, Any]()
    for line in SQLiteStorage.get_logs("hswarm", name):
        for key, value in line.items():
            scalars.setdefault(key, {})[line["step"]] = value
    (run,) = Api().runs("hswarm")
    manifest = SQLiteStorage.get_artifact_manifest("hswarm", f"report-{name}", None)["manifest"]
    return scalars, json.dumps(run.config), {file["path"] for file in manifest}


def log_records(data: Any) -> Iterator[Any]:
    """The records of a log of LevelDB: blocks of 32 KiB (the first after a head of seven bytes), and in them parts of
    records, each with a checksum, its length, and whether it is whole (1), first (2), middle (3) or last (4)."""
    place, record = 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def read_wandb(folder: Path, name: Any) -> tuple[dict[str, Any], str, Any]:
    """From the one file that waits to be synced."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    scalars = dict[str, Any]()
    for data in log_records(path.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        row = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for key in row:
            scalars.setdefault(key, {})[row["_step"]] = row[key]
    return scalars, "", set()


READERS = {"tensorboard": read_tensorboard, "mlflow": read_mlflow, "trackio": read_trackio}


@pytest.mark.model
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own
@pytest.mark.parametrize("tracker", READERS)
def test_a_real_tracker_holds_the_history_and_the_report(
    tmp_path: Path, tracker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("accelerate", "torch", tracker):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    told = Told()
    run = search(tracked_recipe(tracker, tmp_path / "tracking"), tmp_path / "run", told)
    assert told.lines == []
    scalars, config, kept = READERS[tracker](tmp_path / "tracking", "run")
    history, report = run.history(), run.report
    for entry in history:
        for name, value in metrics(entry).items():
            assert scalars[name][entry.iteration + 1] == pytest.approx(value, rel=1e-6)
    assert scalars["test/found"] == {report.iterations: pytest.approx(score(report.test))}
    assert {"dev/best", "dev/roles", "dev/weights", "jfk/step-0", "calls/generated", "test/gain"} <= scalars.keys()
    assert "search.graphs" in config
    assert {"report.html", "report.md", "graph.svg", "graph.mmd"} <= kept


@pytest.mark.model
def test_weights_and_biases_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its file is packed: what it says itself at the end counts."""
    for package in ("accelerate", "torch", "wandb"):
        pytest.importorskip(package)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HSWARM_ALLOW", "wandb")
    told = Told()
    search(tracked_recipe("wandb", tmp_path / "tracking"), tmp_path / "run", told)
    assert told.lines == []
    assert len(list((tmp_path / "tracking").glob("wandb/offline-run-*/*.wandb"))) == 1
    said = capfd.readouterr().err
    assert all(name in said for name in ("calls/generated", "dev/best", "dev/roles", "Adding directory to artifact"))


KILLED = """
import os, signal, sys, threading
from pathlib import Path
from hswarm.experiments.search import search
from hswarm.runs.progress import Progress
from tests.runs.test_track import tracked_recipe

class Kill(Progress):
    def iteration(self, entry):
        if entry.iteration == 2:
            tracker = next(one for one in threading.enumerate() if one.name.startswith("tracker"))
            tracker.join(4)  # it holds some of the curve by then
            os.kill(os.getpid(), signal.SIGKILL)

search(tracked_recipe(sys.argv[1], Path("tracking").resolve()), Path("run"), Kill())
"""
RESUMED = READERS | {"wandb": read_wandb}
del RESUMED["trackio"]


@pytest.mark.model
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("tracker", RESUMED)
def test_a_run_killed_and_resumed_is_one_run_with_one_whole_curve(
    tmp_path: Path, tracker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("accelerate", "torch", tracker):
        pytest.importorskip(package)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HSWARM_ALLOW", "wandb")
    monkeypatch.chdir(tmp_path)
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", KILLED, tracker], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    told = Told()
    resume(tmp_path / "run", progress=told)
    assert told.lines == []
    scalars, _, _ = RESUMED[tracker](tmp_path / "tracking", "run")
    history = Run.open(tmp_path / "run").history()
    curve = {entry.iteration + 1: entry.best.utility for entry in history}
    assert {step: scalars["dev/best"][step] for step in curve} == pytest.approx(curve, rel=1e-6)
    assert scalars["dev/best"].keys() == curve.keys() == {1, 2, 3, 4}
    if tracker == "mlflow":
        from mlflow.tracking import MlflowClient

        (id,) = json.loads((tmp_path / "run/trackers.json").read_text()).values()
        client = MlflowClient(f"sqlite:///{tmp_path / 'tracking/mlflow.db'}")
        assert len(client.get_metric_history(id, "dev/best")) == 4
        assert client.get_run(id).info.status == "FINISHED"


@pytest.mark.model
def test_a_tracker_that_fails_stops_nothing(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    pytest.importorskip("torch")
    (tmp_path / "file").write_text("no folder")
    told = Told()
    run = search(tracked_recipe("tensorboard", tmp_path / "file"), tmp_path / "run", told)
    (line,) = told.lines
    assert line.startswith("warning: tracker tensorboard failed (")
    assert run.finished


def test_a_tracker_that_hangs_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_recipe: Recipe
) -> None:
    never = threading.Event()
    monkeypatch.setitem(track._OPENERS, "tensorboard", lambda *_: never.wait())
    told = Told()
    hanging = Tracker("tensorboard", told.say, patience=0.2)
    run = search(toy_recipe, tmp_path / "run", hanging)
    hanging.close()
    assert told.lines == ["warning: tracker tensorboard did not finish within 0.2 s; the run did"]
    assert run.finished
    never.set()


def test_a_tracker_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(track._OPENERS, "wandb", lambda *_: importlib.import_module("wandb_that_is_not_here"))
    told = Told()
    run = search(tracked_recipe("wandb", tmp_path / "t"), tmp_path / "run", told)
    assert "wandb" in told.lines[0]
    assert "pip install" in told.lines[0]
    assert run.finished


def test_tracked_or_not_a_run_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_recipe: Recipe) -> None:
    monkeypatch.setitem(track._OPENERS, "mlflow", lambda *_: None)
    one = search(toy_recipe, tmp_path / "one")
    two = search(tracked_recipe("mlflow", tmp_path / "t"), tmp_path / "two")
    assert one.history() == two.history()


def test_names_are_checked_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="to names trackers of tensorboard, wandb, mlflow, trackio, got tensorbord"):
        build_recipe({"track": {"to": "tensorbord"}})
    assert build_recipe({"track": {"to": "mlflow, tensorboard,mlflow"}}).track.names == ["mlflow", "tensorboard"]


def test_every_tracker_takes_the_names(tmp_path: Path, toy_recipe: Recipe) -> None:
    run = search(toy_recipe, tmp_path / "run")
    entry = Run.open(run.path).history()[0]
    entry.weight.jfk = {"a+b:c%": 0.5, "none": None}
    assert metrics(entry)["jfk/a_b_c_"] == 0.5
    assert "jfk/none" not in metrics(entry)
    assert outcome(run.report.model_copy(update={"test": None})).keys() >= {"dev/found", "seconds"}


def test_a_generation_of_growth_is_told_in_numbers(tmp_path: Path) -> None:
    run = search(build_recipe(toy_content(method="growth") | {"budget": {"calls": 300}}), tmp_path / "run")
    few, last = run.history()[1], run.history()[-1]
    told, growth = metrics(few), known(few.growth)
    assert told["growth/tried"] == growth.rungs[0][1] >= told["growth/finished"] == growth.rungs[-1][1]
    assert told["growth/known"] == growth.known
    assert told["replies/unparsed"] == growth.unparsed
    nothing = known(last.growth).model_copy(update={"asked": 0})
    assert "growth/asked" not in metrics(last.model_copy(update={"growth": nothing}))
