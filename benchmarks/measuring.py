"""What the benchmarks of speed share: the machine, the clock, and one JSON file a claim under docs/benchmarks/."""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hswarm.config.recipe import Recipe
from hswarm.experiments.search import resume, search
from hswarm.runs.directory import Run

T = TypeVar("T")
Array = NDArray[np.float64]
ROOT = Path(__file__).parent.parent


def machine() -> dict[str, object]:
    """Processor, cores, load and versions: a figure without them says nothing."""
    path = Path("/proc/cpuinfo")
    cpuinfo = path.read_text() if path.exists() else ""
    model = [line.split(":")[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    found: dict[str, object] = {
        "processor": model[0] if model else platform.processor(),
        "cores": os.cpu_count(),
        "load": [round(value, 1) for value in os.getloadavg()],
        "python": platform.python_version(),
    }
    for package in ("numpy", "torch", "transformers", "openvino-genai"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def clock(work: Callable[[], T]) -> tuple[float, T]:
    """(seconds of the clock that `work()` takes, what it returns)."""
    began = time.perf_counter()
    made = work()
    return time.perf_counter() - began, made


def publish(name: str, claim: str, figures: Mapping[str, object]) -> None:
    """Print the figures and keep them as docs/benchmarks/<name>.json."""
    content = {"claim": claim, "machine": machine(), **figures}
    folder = ROOT / "docs/benchmarks"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    print(f"{name}: {claim}")
    for key, value in figures.items():
        print(f"  {key}: {value if not isinstance(value, float) else round(value, 4)}")


def fill(page: Path, mark: str, text: str) -> None:
    """Put `text` between the two lines `mark` of `page`."""
    before, _, after = page.read_text(encoding="utf-8").split(mark)
    page.write_text(f"{before}{mark}\n\n{text}\n\n{mark}{after}", encoding="utf-8")


def finished(recipe: Recipe, folder: Path) -> Run:
    """The run of `recipe` at `folder`, searched to its end."""
    if not folder.exists():
        return search(recipe, folder)
    return run if (run := Run.open(folder)).finished else resume(folder)


def ranks(means: Array) -> list[float]:
    """The mean rank of each method from scores of shape (methods, tasks); equal ones share theirs."""
    return [float(((means > row).sum(axis=0) + ((means == row).sum(axis=0) + 1) / 2).mean()) for row in means]


def interval(arrays: Sequence[Array], rng: np.random.Generator, draws: int = 4000) -> list[float]:
    """The 95 % interval of the mean over tasks of scores (seeds, questions): seeds and questions are drawn again."""
    means = np.zeros(draws)
    for scores in arrays:
        seeds, questions = scores.shape
        for i in range(draws):
            drawn = scores[rng.integers(seeds, size=seeds)]
            means[i] += drawn[:, rng.integers(questions, size=questions)].mean() / len(arrays)
    return [float(end) for end in np.quantile(means, [0.025, 0.975])]
