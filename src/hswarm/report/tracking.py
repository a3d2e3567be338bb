"""A run's numbers in the trackers people have, through accelerate: TensorBoard, Weights & Biases, MLflow, trackio.

Each works in a thread of its own, so that what fails or hangs there never stops a search. A resumed run is one run
there too, with its whole curve: W&B and MLflow are given the id that trackers.json in the run's folder keeps, and the
iterations that they lack; TensorBoard is logged again. Names are equal everywhere; `metrics` and `outcome` list them.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hswarm import io
from hswarm.consent import check_word
from hswarm.report.render import pages
from hswarm.report.summary import gather
from hswarm.runs.directory import Run
from hswarm.runs.progress import Progress, Several
from hswarm.runs.schema import Report
from hswarm.session.records import HistoryEntry

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

_PATIENCE = 120.0  # seconds that a run waits at its end for a tracker

_IDS = "trackers.json"  # in a run's folder: what trackers call it, by the tracker's name

_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def tracked(run: Run, progress: Progress) -> Iterator[Progress]:
    """`progress` with the trackers of the run's recipe beside it; they are closed at the end, however that comes."""
    trackers = [Tracker(name, progress.say) for name in run.recipe.track.names]
    try:
        yield Several(progress, *trackers) if trackers else progress
    finally:
        for tracker in trackers:
            tracker.close()


class Tracker(Progress):
    """One tracker. The first fault is told through `say` and ends it, not the run."""

    def __init__(self, name: str, say: Callable[[str], None], patience: float = _PATIENCE) -> None:
        self._name, self._say, self._patience = name, say, patience
        self._made: Any = None  # accelerate's GeneralTracker, made and used in the thread
        self._there = 0  # the last step that it holds already, of a resumed run
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._serve, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def start(self, run: Run) -> None:
        self._work.put(partial(self._open, run))
        for entry in run.history():
            self.iteration(entry)

    def iteration(self, entry: HistoryEntry) -> None:
        self._work.put(partial(self._log_new, metrics(entry), entry.iteration + 1))

    def end(self, run: Run) -> None:
        report = run.report
        self._work.put(partial(self._log, outcome(report), report.iterations))
        self._work.put(partial(self._keep, pages(gather(run))))

    def close(self) -> None:
        """Let it finish what it was given, for a while."""
        self._work.put(None)
        self._thread.join(self._patience)
        if self._thread.is_alive():
            self._say(f"warning: tracker {self._name} did not finish within {self._patience:g} s; the run did")

    def _serve(self) -> None:
        try:
            while (work := self._work.get()) is not None:
                work()
            if self._made:
                self._made.finish()
        except ImportError as missing:
            need = missing.name if missing.name == self._name else f"'hswarm[train]' {self._name}"
            self._say(f"warning: tracker {self._name} is not here (pip install {need}); the run goes on without it")
        except (Exception, SystemExit) as fault:
            reason = " ".join(str(fault).split())[:300] or type(fault).__name__
            self._say(f"warning: tracker {self._name} failed ({reason}); the run goes on without it")

    def _open(self, run: Run) -> None:
        from accelerate import PartialState

        with _ONE_AT_A_TIME:
            PartialState()  # some of its trackers log through it
        settings = run.recipe.track
        folder = Path(settings.folder or run.path.parent / "tracking").expanduser().resolve()
        before = _ids(run).get(self._name, "")
        made = _OPENERS[self._name](settings.project, run.path.name, folder, before)
        made.start()
        id, self._there = _STATES.get(self._name, lambda _: ("", 0))(made)
        if id and id != before:
            with _ONE_AT_A_TIME:
                io.write_text(run.path / _IDS, json.dumps(_ids(run) | {self._name: id}) + "\n")
        if not (before and self._name == "mlflow"):  # which refuses to be told twice
            made.store_init_configuration(_flat(run.recipe.model_dump(mode="json")))
        self._made = made

    def _log_new(self, values: Mapping[str, float], step: int) -> None:
        if step > self._there:
            self._log(values, step)

    def _log(self, values: Mapping[str, float], step: int) -> None:
        self._made.log(dict(values), step=step)

    def _keep(self, written: Mapping[str, str]) -> None:
        with tempfile.TemporaryDirectory() as place:
            for name, text in written.items():
                (Path(place) / name).write_text(text, encoding="utf-8")
            _KEEPERS[self._name](self._made, Path(place), written["report.md"])


def _ids(run: Run) -> dict[str, str]:
    path = run.path / _IDS
    return {str(name): str(id) for name, id in io.read_json(path, "ids of trackers").items()} if path.is_file() else {}


def metrics(entry: HistoryEntry) -> dict[str, float]:
    """The numbers of an iteration, from its line of the history; what is not known is left out."""
    low, high = entry.best.ci or (None, None)
    calls, tokens, grown = entry.calls, entry.tokens, entry.growth
    found: dict[str, float | None] = {
        "dev/best": entry.best.utility,
        "dev/best_low": low,
        "dev/best_high": high,
        "dev/roles": entry.role.highest,
        "dev/weights": entry.weight.highest,
        "dev/scored": entry.scored.highest,
        "calls/requested": calls.requested,
        "calls/generated": calls.generated,
        "calls/reused": calls.requested - calls.generated,
        "tokens/prompt": tokens.prompt,
        "tokens/completion": tokens.completion,
    }
    found |= {f"replies/{kind}": count for kind, count in entry.faults.items()}
    if grown:
        found |= {"growth/known": grown.known, "growth/tried": grown.rungs[0][1] if grown.rungs else 0}
        found |= {"growth/finished": grown.rungs[-1][1] if grown.rungs else 0, "growth/asked": grown.asked or None}
    found |= {f"jfk/{name}": score for name, score in entry.weight.jfk.items()}
    return _known(found)


def outcome(report: Report) -> dict[str, float]:
    """The numbers of a finished run: scores on dev and test, what the system gains, seconds."""
    found: dict[str, float | None] = {}
    for name, row in (("found", report), ("start", report.start), ("best_single", report.best_single)):
        found |= {f"dev/{name}": row.dev.score, f"test/{name}": row.test.score if row.test else None}
    gain = report.gain_on_test.difference if report.gain_on_test else None
    return _known(found | {"test/gain": gain, "seconds": report.wall_s})


def _known(values: Mapping[str, Any]) -> dict[str, float]:
    """Without None, under names that every tracker takes."""
    return {re.sub(r"[^\w\-./ ]", "_", name): float(value) for name, value in values.items() if value is not None}


def _flat(content: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """A recipe as a.b = value, values plain."""
    flat: dict[str, object] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat


def _tensorboard(project: str, name: str, folder: Path, id: str) -> GeneralTracker:
    from accelerate.tracking import TensorBoardTracker

    place = folder / "tensorboard" / project
    shutil.rmtree(place / name, ignore_errors=True)  # a resumed run is logged again
    return TensorBoardTracker(name, place)


def _wandb(project: str, name: str, folder: Path, id: str) -> GeneralTracker:
    check_word("wandb", "track.to would send the run's numbers to Weights & Biases")
    from accelerate.tracking import WandBTracker

    folder.mkdir(parents=True, exist_ok=True)
    if not id:
        return WandBTracker(project, name=name, dir=str(folder))
    for old in folder.glob(f"wandb/offline-run-*-{id}"):  # not synced yet: this one is logged with its whole history
        shutil.rmtree(old)
    return WandBTracker(project, name=name, dir=str(folder), id=id, resume=None if _offline() else "allow")


def _offline() -> bool:
    import wandb

    return bool(wandb.Settings().mode == "offline" or os.environ.get("WANDB_MODE") == "offline")


def _mlflow(project: str, name: str, folder: Path, id: str) -> GeneralTracker:
    import mlflow
    from accelerate.tracking import MLflowTracker

    if "MLFLOW_TRACKING_URI" not in os.environ:
        folder.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        os.environ.pop("MLFLOW_TRACKING_URI", None)  # set by MLflow: the next run of this process has its own folder
    return MLflowTracker(project, run_name=name, run_id=id or None)


def _trackio(project: str, name: str, folder: Path, id: str) -> GeneralTracker:
    from accelerate.tracking import TrackioTracker

    return TrackioTracker(project, name=name, embed=False)


def _state_of_wandb(made: GeneralTracker) -> tuple[str, int]:
    return str(made.tracker.id), int(made.tracker.starting_step) - 1


def _state_of_mlflow(made: GeneralTracker) -> tuple[str, int]:
    from mlflow.tracking import MlflowClient

    id = made.tracker.info.run_id
    return str(id), max((point.step for point in MlflowClient().get_metric_history(id, "calls/requested")), default=0)


def _keep_tensorboard(made: GeneralTracker, place: Path, text: str) -> None:
    made.log({"report": text})
    shutil.copytree(place, made.logging_dir, dirs_exist_ok=True)


def _keep_wandb(made: GeneralTracker, place: Path, text: str) -> None:
    from wandb import Artifact

    _keep_artifact(made, place, Artifact)


def _keep_mlflow(made: GeneralTracker, place: Path, text: str) -> None:
    made.log_artifacts(str(place))


def _keep_trackio(made: GeneralTracker, place: Path, text: str) -> None:
    from trackio import Artifact, Markdown

    made.log({"report": Markdown(text)})
    _keep_artifact(made, place, Artifact)


def _keep_artifact(made: GeneralTracker, place: Path, kind: Callable[..., Any]) -> None:
    artifact = kind(f"report-{made.tracker.name}", type="report")
    artifact.add_dir(str(place))
    made.tracker.log_artifact(artifact)


_OPENERS: dict[str, Callable[[str, str, Path, str], GeneralTracker]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
    "trackio": _trackio,
}
# its id of the run, and the last step that it holds
_STATES: dict[str, Callable[[GeneralTracker], tuple[str, int]]] = {"wandb": _state_of_wandb, "mlflow": _state_of_mlflow}
_KEEPERS: dict[str, Callable[[GeneralTracker, Path, str], None]] = {
    "tensorboard": _keep_tensorboard,
    "wandb": _keep_wandb,
    "mlflow": _keep_mlflow,
    "trackio": _keep_trackio,
}
