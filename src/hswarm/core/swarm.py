"""Particle swarm optimisation with a repel term (arXiv 2502.04510, Algorithm 1), by ask and tell.

Higher is better. The swarm never sees what it optimises; role-step and weight-step are this class used twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hswarm.core.parallel_map import parallel_map
from hswarm.errors import NumberError

Array = NDArray[Any]
_ARRAYS = ("positions", "velocities", "personal", "personal_utility", "best", "worst", "age", "cooldown")
_STRETCH = 2**17  # numbers; shorter ones are over so soon that threads wait for each other
_VALUES = ("step", "moves", "told", "stalled", "reach")


@dataclass(frozen=True)
class SwarmSettings:
    """Coefficients of the velocity's four terms, and how steps shrink and particles restart.

    `inertia`, `cognitive`, `social`, `repel`: weights, relative to each other, of the old velocity, the pull to the
    personal best and to the swarm's best, and the push from its worst.
    `step_length` is a multiple of the velocity; each move shrinks it by `step_factor`, not below `min_step_length`.
    `patience`, in tells: without a new best for as long, the search is over. A particle that has not improved for
    ceil(`restart_patience` * `patience`) tells goes back to its personal best with zero velocity, and may do so again
    only as many tells later (never if `restart` is false).
    `velocity` of the first move: "random" (towards another particle), "best" or "zero".
    `bounds`: what is done with a particle that leaves `bound` times the largest start position: "none", "clip" (each
    coordinate is set back to the bound and its velocity is zero) or "rescale" (the whole particle is shrunk to it, its
    direction kept). Long searches with a strong `repel` may need one.
    `coefficients_random`: each r ~ U(0, 1); if false, every r = 1.
    Defaults: the middle of the paper's grid. ValueError names the field and its range. Source: arXiv 2502.04510.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    inertia: float = 0.2
    cognitive: float = 0.3
    social: float = 0.4
    repel: float = 0.05
    step_length: float = 0.8
    step_factor: float = 0.95
    min_step_length: float = 0.1
    patience: int = 6
    restart: bool = True
    restart_patience: float = 0.67
    velocity: Literal["zero", "random", "best"] = "random"
    coefficients_random: bool = True
    bounds: Literal["none", "clip", "rescale"] = "none"
    bound: float = 10.0

    def __post_init__(self) -> None:
        for name in ("inertia", "cognitive", "social", "repel", "min_step_length"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be in [0, inf), got {getattr(self, name)}")
        for name in ("step_length", "restart_patience", "bound"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be in (0, inf), got {getattr(self, name)}")
        if not 0 < self.step_factor <= 1:
            raise ValueError(f"step_factor must be in (0, 1], got {self.step_factor}")
        if not isinstance(self.patience, int) or self.patience < 1:
            raise ValueError(f"patience must be a whole number of 1 or more, got {self.patience}")
        if self.velocity not in ("zero", "random", "best"):
            raise ValueError(f"velocity must be 'zero', 'random' or 'best', got {self.velocity!r}")
        if self.bounds not in ("none", "clip", "rescale"):
            raise ValueError(f"bounds must be 'none', 'clip' or 'rescale', got {self.bounds!r}")

    @property
    def restart_tells(self) -> int:
        """Tells without improvement after which a particle restarts, and tells until it may again."""
        return max(1, math.ceil(self.restart_patience * self.patience - 1e-9))  # 0.55 * 20 is 11, not above it


class Swarm:
    """Particles of shape (P, D). `ask` gives their positions, `tell` their utilities; a move is in `ask`, once a tell.

    `positions` are copied; float32 stays float32, other numbers become float64. ValueError if they are not a
    non-empty finite (P, D). Source: arXiv 2502.04510, Algorithm 1.

    >>> swarm = Swarm(positions, SwarmSettings(), np.random.default_rng(0))
    >>> while not swarm.stop():
    ...     swarm.tell([utility(position) for position in swarm.ask()])
    """

    def __init__(self, positions: ArrayLike, settings: SwarmSettings, rng: np.random.Generator) -> None:
        positions = np.array(positions)
        if positions.dtype not in (np.float32, np.float64):
            positions = positions.astype(np.float64)
        if positions.ndim != 2 or not positions.size:
            raise ValueError(f"expected positions of shape (particles, dimensions), got {positions.shape}")
        if not np.isfinite(positions).all():
            raise ValueError("expected finite positions, got NaN or infinity")
        count = len(positions)
        self._settings, self._rng = settings, rng
        self._positions, self._velocities = positions, np.zeros_like(positions)
        self._personal, self._personal_utility = positions.copy(), np.full(count, -np.inf)
        self._best: Array = positions[0].copy()
        self._worst: Array = positions[0].copy()
        self._best_utility, self._worst_utility = -np.inf, np.inf
        self._age = np.zeros(count, dtype=np.int64)  # tells since a particle's last improvement
        self._cooldown = np.zeros(count, dtype=np.int64)
        self._step, self._moves, self._told, self._stalled = settings.step_length, 0, False, 0
        self._reach = settings.bound * float(np.abs(positions).max())  # no coordinate beyond, if there are bounds

    @property
    def best_position(self) -> Array:
        """Where the best utility so far was told, shape (D,); the first particle's start while there is none."""
        return self._best.copy()

    @property
    def best_utility(self) -> float:
        """The best utility so far; -inf while there is none."""
        return self._best_utility

    @property
    def worst_position(self) -> Array:
        """Where the worst utility so far was told, shape (D,); the first particle's start while there is none."""
        return self._worst.copy()

    @property
    def worst_utility(self) -> float:
        """The worst utility so far; inf while there is none."""
        return self._worst_utility

    @property
    def personal_best_positions(self) -> Array:
        """Where each particle did best, shape (P, D); its start while it has only failed."""
        return self._personal.copy()

    @property
    def personal_best_utilities(self) -> Array:
        """Each particle's best utility, shape (P,); -inf while it has only failed."""
        return self._personal_utility.copy()

    @property
    def step_length(self) -> float:
        """The length of the next step."""
        return self._step

    def ask(self) -> Array:
        """Positions to score, shape (P, D), a copy. Two asks without a tell between them are equal.

        NumberError if a particle leaves the finite numbers.
        """
        if self._told:
            self._move()
            self._told = False
        return self._positions.copy()

    def tell(self, utilities: ArrayLike) -> None:
        """Utilities, shape (P,), of the positions last asked. nan = failed: never a best, never a worst.

        ValueError: another shape, an infinite utility; the swarm is then as it was.
        """
        values = np.asarray(utilities, dtype=np.float64)
        if values.shape != (len(self._positions),):
            raise ValueError(f"expected {len(self._positions)} utilities, got shape {values.shape}")
        if np.isinf(values).any():
            raise ValueError("expected finite utilities, or nan for a failed particle, got an infinite one")
        before = self._best_utility
        for i, value in enumerate(values.tolist()):
            self._age[i] += 1
            if value > self._personal_utility[i]:
                self._personal[i], self._personal_utility[i], self._age[i] = self._positions[i], value, 0
            if value > self._best_utility:
                self._best, self._best_utility = self._positions[i].copy(), value
            if value < self._worst_utility:
                self._worst, self._worst_utility = self._positions[i].copy(), value
        self._cooldown = np.maximum(self._cooldown - 1, 0)
        self._stalled = 0 if self._best_utility > before else self._stalled + 1
        self._told = True

    def stop(self) -> dict[str, float]:
        """{} while there is hope, else the reason: {"patience": tells without a new best}."""
        return {"patience": self._stalled} if self._stalled >= self._settings.patience else {}

    def _move(self) -> None:
        """One step of every particle, or its return to its personal best."""
        if not self._moves:
            self._start_velocities()
        moving = []
        for i in range(len(self._positions)):
            if self._restarts(i):
                self._positions[i], self._velocities[i] = self._personal[i], 0
                self._cooldown[i] = self._settings.restart_tells
            else:
                moving.append((i, self._rng.uniform(0, 1, 4) if self._settings.coefficients_random else np.ones(4)))
        parallel_map(self._move_one, moving, self._positions.shape[1])
        self._moves += 1
        self._step = max(self._step * self._settings.step_factor, min(self._step, self._settings.min_step_length))

    def _restarts(self, i: int) -> bool:
        """Whether it is time, and there is a personal best to go back to."""
        due = self._age[i] >= self._settings.restart_tells and not self._cooldown[i]
        return bool(self._settings.restart and due and self._personal_utility[i] > -np.inf)

    @np.errstate(over="ignore", invalid="ignore")  # checked below, with the particle's name
    def _move_one(self, i: int, r: Array) -> None:
        """Algorithm 1 for one particle, a stretch at a time: what fits a processor's cache is read and written once."""
        settings = self._settings
        weights = r * (settings.inertia, settings.cognitive, settings.social, settings.repel)
        inertia, cognitive, social, repel = weights.tolist()  # Python floats leave float32 as it is
        total = inertia + cognitive + social + repel
        if total == 0:  # no term acts, so the particle stays
            return
        finite, scratch = True, np.empty(_STRETCH, dtype=self._positions.dtype)
        for start in range(0, self._positions.shape[1], _STRETCH):
            part = slice(start, start + _STRETCH)
            x, v = self._positions[i, part], self._velocities[i, part]
            pulls: list[tuple[float, Array, Array]] = []
            if self._personal_utility[i] > -np.inf:
                pulls.append((cognitive, self._personal[i, part], x))
            if self._best_utility > -np.inf:
                pulls += [(social, self._best[part], x), (repel, x, self._worst[part])]
            v *= inertia
            for weight, to, away in pulls:
                np.subtract(to, away, out=scratch[: len(x)])
                scratch[: len(x)] *= weight
                v += scratch[: len(x)]
            v /= total
            np.multiply(v, self._step, out=scratch[: len(x)])
            x += scratch[: len(x)]
            finite &= bool(np.isfinite(x).all())
        if not finite:
            raise NumberError(
                f"particle {i} of the swarm left the finite numbers in move {self._moves + 1}; "
                "set bounds to 'clip' or 'rescale', or shorten step_length"
            )
        self._bound_one(i)

    def _bound_one(self, i: int) -> None:
        """Bring particle `i` back within reach, if bounds are set."""
        if self._settings.bounds == "none":
            return
        x = self._positions[i]
        largest = max(float(x.max()), -float(x.min()))
        if largest <= self._reach:
            return
        if self._settings.bounds == "rescale":
            x *= self._reach / largest
        else:
            self._velocities[i][np.abs(x) > self._reach] = 0
            np.clip(x, -self._reach, self._reach, out=x)

    def _start_velocities(self) -> None:
        count = len(self._positions)
        if self._settings.velocity == "best" and self._best_utility > -np.inf:
            self._velocities[:] = self._best - self._positions
        if self._settings.velocity == "random" and count > 1:
            others = (np.arange(count) + self._rng.integers(1, count, count)) % count
            for i, other in enumerate(others):
                self._velocities[i] = self._positions[other] - self._positions[i]

    def state(self) -> dict[str, Any]:
        """Everything, as numpy arrays (copies) and JSON-able values, the generator's state included: the checkpoint."""
        arrays = {name: getattr(self, f"_{name}").copy() for name in _ARRAYS}
        values = {name: getattr(self, f"_{name}") for name in _VALUES}
        extremes = np.array([self._best_utility, self._worst_utility])  # infinite at first, which JSON does not know
        return arrays | values | {"extremes": extremes, "rng": _plain(self._rng.bit_generator.state)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], settings: SwarmSettings) -> Swarm:
        """The swarm that `state` was taken of; it goes on bit for bit, after np.savez and JSON too.

        ValueError if the state names no bit generator of numpy.
        """
        kind = getattr(np.random, state["rng"]["bit_generator"], None)
        if not isinstance(kind, type) or not issubclass(kind, np.random.BitGenerator):
            raise ValueError(f"expected a bit generator of numpy, got {state['rng']['bit_generator']!r}")
        bits = kind()
        bits.state = state["rng"]
        swarm = cls(state["positions"], settings, np.random.Generator(bits))
        for name in _ARRAYS:
            setattr(swarm, f"_{name}", np.array(state[name]))
        for name in _VALUES:
            setattr(swarm, f"_{name}", state[name])
        swarm._best_utility, swarm._worst_utility = (float(value) for value in state["extremes"])
        return swarm


def _plain(value: Any) -> Any:
    """`value` with arrays as lists: some bit generators keep arrays in their state."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
