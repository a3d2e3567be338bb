"""Particle swarm optimisation with a repel term (arXiv 2502.04510, Algorithm 1), by ask and tell.

Higher is better. The swarm never sees what it optimises; role-step and weight-step are this class used twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class SwarmSettings:
    """Coefficients of the velocity's four terms, and how steps shrink and particles restart.

    `step_length` is multiplied by `step_factor` after each move, not below `min_step_length`. A particle that has not
    improved for ceil(`restart_patience` * `patience`) tells goes back to its personal best with zero velocity (never if
    `restart` is false). `velocity` at the start: "random" towards another particle, "best" towards the best one, "zero".
    `random_coefficients` false replaces every r ~ U(0, 1) by 1. Defaults: the middle of the paper's grid.
    """

    __pydantic_config__ = {"extra": "forbid"}

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
    random_coefficients: bool = True

    def __post_init__(self) -> None:
        for name in ("inertia", "cognitive", "social", "repel", "min_step_length"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be zero or more, got {getattr(self, name)}")
        if not 0 < self.step_length < math.inf:
            raise ValueError(f"step_length must be above zero, got {self.step_length}")
        if not 0 < self.step_factor <= 1:
            raise ValueError(f"step_factor must be in (0, 1], got {self.step_factor}")
        if self.patience < 1 or not self.restart_patience > 0:
            raise ValueError(f"patience and restart_patience must be above zero, got {self.patience} and "
                             f"{self.restart_patience}")  # fmt: skip


class Swarm:
    """Particles of shape (P, D). `ask` gives their positions, `tell` their utilities; a move happens in `ask`, once a tell.

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
        self._best, self._best_utility = positions[0].copy(), -np.inf
        self._worst, self._worst_utility = positions[0].copy(), np.inf
        self._age = np.zeros(count, dtype=np.int64)  # tells since a particle's last improvement
        self._cooldown = np.zeros(count, dtype=np.int64)
        self._step, self._moves, self._told, self._stalled = settings.step_length, 0, False, 0

    @property
    def best(self) -> tuple[Array, float]:
        """Position, shape (D,), and utility of the best particle so far; -inf before the first tell."""
        return self._best.copy(), self._best_utility

    @property
    def step_length(self) -> float:
        """The length of the next step."""
        return self._step

    def ask(self) -> Array:
        """Positions to score, shape (P, D). Two asks without a tell between them are equal."""
        if self._told:
            self._move()
            self._told = False
        return self._positions.copy()

    def tell(self, utilities: ArrayLike) -> None:
        """Utilities, shape (P,), of the positions last asked. nan = failed: never a best, never a worst."""
        values = np.asarray(utilities, dtype=np.float64)
        if values.shape != (len(self._positions),):
            raise ValueError(f"expected {len(self._positions)} utilities, got shape {values.shape}")
        if np.isinf(values).any():
            raise ValueError("a utility is infinite; tell nan for a failed particle")
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
        limit = math.ceil(self._settings.restart_patience * self._settings.patience)
        for i in range(len(self._positions)):
            if self._settings.restart and self._age[i] >= limit and not self._cooldown[i]:
                self._positions[i], self._velocities[i] = self._personal[i], 0
                self._cooldown[i], self._age[i] = limit, 0
            else:
                self._move_one(i)
        self._moves += 1
        self._step = max(self._step * self._settings.step_factor, min(self._step, self._settings.min_step_length))

    def _move_one(self, i: int) -> None:
        """Algorithm 1. A term without a partner (nothing told yet, alone) is zero."""
        settings, x = self._settings, self._positions[i]
        r = self._rng.uniform(0, 1, 4) if settings.random_coefficients else np.ones(4)
        inertia, cognitive, social, repel = (
            r * (settings.inertia, settings.cognitive, settings.social, settings.repel)
        ).tolist()  # fmt: skip
        total = inertia + cognitive + social + repel
        if total == 0:
            return
        v = inertia * self._velocities[i]
        v += cognitive * (self._personal[i] - x)
        if self._best_utility > -np.inf:
            v += social * (self._best - x)
            v += repel * (x - self._worst)
        v /= total
        self._velocities[i] = v
        v *= self._step
        x += v
        if not np.isfinite(x).all():
            raise ValueError(f"particle {i} left the finite numbers; shorten step_length or scale the start")

    def _start_velocities(self) -> None:
        count = len(self._positions)
        if self._settings.velocity == "best" and self._best_utility > -np.inf:
            self._velocities[:] = self._best - self._positions
        if self._settings.velocity == "random" and count > 1:
            others = (np.arange(count) + self._rng.integers(1, count, count)) % count
            for i, other in enumerate(others):
                self._velocities[i] = self._positions[other] - self._positions[i]

    def state(self) -> dict[str, Any]:
        """Everything, as numpy arrays and JSON-able values: the checkpoint."""
        return {
            "positions": self._positions, "velocities": self._velocities, "personal": self._personal,
            "personal_utility": self._personal_utility, "best": self._best, "worst": self._worst,
            "extremes": np.array([self._best_utility, self._worst_utility]), "age": self._age,
            "cooldown": self._cooldown, "step": self._step, "moves": self._moves, "told": self._told,
            "stalled": self._stalled, "rng": self._rng.bit_generator.state,
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Mapping[str, Any], settings: SwarmSettings) -> Swarm:
        """The swarm that `state` was taken of; it goes on bit for bit."""
        bits = getattr(np.random, state["rng"]["bit_generator"])()
        bits.state = state["rng"]
        swarm = cls(state["positions"], settings, np.random.Generator(bits))
        for name in ("velocities", "personal", "personal_utility", "best", "worst", "age", "cooldown"):
            setattr(swarm, f"_{name}", np.array(state[name]))
        swarm._best_utility, swarm._worst_utility = (float(value) for value in state["extremes"])
        swarm._step, swarm._moves = state["step"], state["moves"]
        swarm._told, swarm._stalled = state["told"], state["stalled"]
        return swarm
