"""A finished search folder of the authors' code as a System: all_time_best/ with adjacency, models and assignment.

args.json                                the search's arguments
log.txt                                  names the experts behind model_0, model_1 ...
all_time_best/graph/adjacency.npy        (n, n); their code decodes it at every evaluation, always to the same graph
all_time_best/models/model_<i>/          PEFT adapters
all_time_best/assignment.json            node -> i
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hswarm import io
from hswarm.core.decode import g_decode
from hswarm.core.topology import Topology
from hswarm.engines.base import Sampling
from hswarm.errors import RunError
from hswarm.experts.pool import bases_of, read_expert, share_bases
from hswarm.prompts import Prompts
from hswarm.system.system import System

Array = NDArray[np.float64]
_EXPERT = re.compile(r"expert (\d+): (\S.*?)\s*$", re.MULTILINE)
_LENGTHS = {"abstainqa": 100, "gemini_match": 200}
_LENGTHS_OF = {"gsm8k": 100, "nlgraph": 80}


def load_reference(folder: Path, base: str = "") -> System:
    """The best system of a search by the authors' code, with our prompts in their order (prompts.layout "paper").

    `base` says where the base model lies if it is not found by the name that the adapters know. RunError or PoolError
    say what does not fit together.
    """
    best = folder / "all_time_best"
    matrix = _matrix(best / "graph" / "adjacency.npy")
    assignment = io.read_json(best / "assignment.json", "the assignment of a search of the authors' code")
    if not isinstance(assignment, list) or [type(i) for i in assignment] != [int] * len(matrix):
        raise RunError(f"{best / 'assignment.json'}: expected the number of a model for each of {len(matrix)} nodes")
    names = _names(folder)
    places = {i: best / "models" / f"model_{i}" for i in dict.fromkeys(assignment)}
    if missing := [str(path) for path in places.values() if not path.is_dir()]:
        raise RunError(f"{folder} is not whole, missing: {', '.join(missing)}; copy the search's folder again")
    read = [read_expert(path).renamed(names.get(i, path.name)) for i, path in places.items()]
    experts = dict(zip(places, share_bases(read, base), strict=True))
    chosen = tuple(experts[i] for i in assignment)
    settings = _args(folder)
    length = _LENGTHS.get(settings.get("eval_type", ""), _LENGTHS_OF.get(settings.get("dataset", ""), 50))
    return System(
        decoded(matrix), chosen, Prompts(layout="paper", style="place"), bases_of(chosen)[0], sampling=Sampling(length)
    )


def decoded(adjacency: Array) -> Topology:
    """The topology that their decoder makes of `adjacency`, shape (n, n).

    It differs from ours where outdegrees are not all positive: the sink is the node of the greatest 1/outdegree (ties:
    the higher index), which need not be the one of the least outdegree.
    """
    matrix = np.array(adjacency, dtype=np.float64)
    np.fill_diagonal(matrix, 0.0)
    outdegree = matrix.sum(axis=1)
    sink = None
    if (outdegree <= 0).any():
        with np.errstate(divide="ignore"):
            sink = len(matrix) - 1 - int(np.argmax((1 / outdegree)[::-1]))
    return g_decode(matrix, np.random.default_rng(0), sink=sink)


def _matrix(path: Path) -> Array:
    try:
        matrix: Array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as fault:
        raise RunError(f"{path} cannot be read as a matrix: {fault}") from fault
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix) or not np.isfinite(matrix).all():
        raise RunError(f"{path}: expected a square matrix of finite numbers, got shape {matrix.shape}")
    return matrix


def _names(folder: Path) -> dict[int, str]:
    """The experts' names by number, as far as the log gives them."""
    try:
        text = (folder / "log.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {int(number): Path(path).name for number, path in _EXPERT.findall(text)}


def _args(folder: Path) -> dict[str, str]:
    path = folder / "args.json"
    content = io.read_json(path, "the arguments of a search of the authors' code") if path.is_file() else {}
    return {key: str(value) for key, value in content.items()} if isinstance(content, dict) else {}
