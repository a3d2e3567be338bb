"""The score of an expert alone, to measure its training, with the engine and the scorers that a search uses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.experts.expert import Expert
from hswarm.scorers import get_scorer
from hswarm.training.data import Exercise


def exam(expert: Expert, exercises: Sequence[Exercise], scorer: str, max_new_tokens: int) -> NDArray[np.float64]:
    """One score an exercise, shape (n,), greedy; the model is unloaded afterwards."""
    engine = open_engine(EngineSettings(), expert.base, [expert])
    sampling = Sampling(max_new_tokens)
    replies = engine.generate([Request(expert, exercise.prompt, sampling) for exercise in exercises])
    scores = get_scorer(scorer)([exercise.example for exercise in exercises], [reply.text for reply in replies])
    return np.array([score.value for score in scores])
