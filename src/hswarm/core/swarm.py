"""Particle swarm optimisation with a repel term (arXiv 2502.04510, Algorithm 1), by ask and tell.

Higher is better. The swarm never sees what it optimises; role-step and weight-step are this class used twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import ArrayLike, NDArray

from hswarm.errors import NumberError
from hswarm.options import SETTINGS, check_ranges

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SwarmSettings:
    """`[role]` and `[weight]`: the velocity's four terms, and how steps shrink and particles restart.

    Defaults: the middle of the paper's grid. ValueError names the field and its range. Source: arXiv 2502.04510.
    """

    __pydantic_config__ = SETTINGS

    inertia: Annotated[float, Ge(0), Lt(math.inf)] = 0.2
    """Weight of the old velocity, relative to the three below."""
    cognitive: Annotated[float, Ge(0), Lt(math.inf)] = 0.3
    """Weight of the pull to the particle's own best."""
    social: Annotated[float, Ge(0), Lt(math.inf)] = 0.4
    """Weight of the pull to the swarm's best."""
    repel: Annotated[float, Ge(0), Lt(math.inf)] = 0.05
    """Weight of the push from the swarm's worst."""
    step_length: Annotated[float, Gt(0), Lt(math.inf)] = 0.8
    """The first move is this multiple of the velocity."""
    step_factor: Annotated[float, Gt(0), Le(1)] = 0.95
    """Each move multiplies the step length by this."""
    min_step_length: Annotated[float, Ge(0), Lt(math.inf)] = 0.1
    """The step length never falls below this."""
    patience: Annotated[int, Ge(1)] = 6
    """The search is over after this many tells (scorings of all particles) without a new best."""
    restart: bool = True
    """Whether particles that do not improve return to their personal best."""
    restart_patience: Annotated[float, Gt(0), Lt(math.inf)] = 0.67
    """A particle restarts, with zero velocity, after ceil(this * patience) tells without improvement; again only as
    many tells later."""
    velocity: Literal["zero", "random", "best"] = "random"
    """The first velocity: "random" (towards another particle), "best" (towards the best) or "zero"."""
    coefficients_random: bool = True
    """Whether each term is multiplied by r ~ U(0, 1); else r = 1."""
    bounds: Literal["none", "clip", "rescale"] = "none"
    """A particle beyond the bound is left alone ("none"), set back to it in each coordinate, with zero velocity there
    ("clip"), or shrunk to it as a whole ("rescale"). Long searches with a strong `repel` may need one."""
    bound: Annotated[float, Gt(0), Lt(math.inf)] = 10.0
    """The bound, as a multiple of the largest start position."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def restart_tells(self) -> int:
        """Tells without improvement after which a particle restarts, and tells until it may again."""
        return max(1, math.ceil(self.restart_patience * self.patience - 1e-9))  # 0.55 * 20 is 11, not above it


@dataclass
class SwarmState:
    """The state of a swarm of P particles in D dimensions between its moves."""

    positions: Array  # x, shape (P, D)
    velocities: Array  # v, (P, D)
    personal: Array  # where each particle did best, (P, D)
    personal_utility: Array  # (P,); -inf: it has only failed
    best: Array  # g, (D,)
    worst: Array  # g_w, (D,)
    best_utility: float
    worst_utility: float
    age: Array  # tells since a particle's last improvement, (P,)
    cooldown: Array  # tells until a particle may restart again, (P,)
    step: float  # lambda
    moves: int
    told: bool  # since the last move
    stalled: int  # tells in a row without a new best
    reach: float  # the bound on every coordinate, if there are bounds

    @classmethod
    def start(cls, positions: Array, settings: SwarmSettings) -> SwarmState:
        """Particles at rest, not yet scored."""
        count, first = len(positions), positions[0]
        return cls(
            positions,
            velocities=np.zeros_like(positions),
            personal=positions.copy(),
            personal_utility=np.full(count, -np.inf),
            best=first.copy(),
            worst=first.copy(),
            best_utility=-np.inf,
            worst_utility=np.inf,
            age=np.zeros(count, dtype=np.int64),
            cooldown=np.zeros(count, dtype=np.int64),
            step=settings.step_length,
            moves=0,
            told=False,
            stalled=0,
            reach=settings.bound * float(np.abs(positions).max()),
        )


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
        self._settings, self._rng = settings, rng
        self._state = SwarmState.start(positions, settings)

    @property
    def best_position(self) -> Array:
        """Where the best utility so far was told, shape (D,); the first particle's start while there is none."""
        return self._state.best.copy()

    @property
    def best_utility(self) -> float:
        """The best utility so far; -inf while there is none."""
        return self._state.best_utility

    @property
    def worst_position(self) -> Array:
        """Where the worst utility so far was told, shape (D,); the first particle's start while there is none."""
        return self._state.worst.copy()

    @property
    def worst_utility(self) -> float:
        """The worst utility so far; inf while there is none."""
        return self._state.worst_utility

    @property
    def personal_best_positions(self) -> Array:
        """Where each particle did best, shape (P, D); its start while it has only failed."""
        return self._state.personal.copy()

    @property
    def personal_best_utilities(self) -> Array:
        """Each particle's best utility, shape (P,); -inf while it has only failed."""
        return self._state.personal_utility.copy()

    @property
    def step_length(self) -> float:
        """The length of the next step."""
        return self._state.step

    def ask(self) -> Array:
        """Positions to score, shape (P, D), a copy. Two asks without a tell between them are equal.

        NumberError if a particle leaves the finite numbers.
        """
        if self._state.told:
            self._move()
            self._state.told = False
        return self._state.positions.copy()

    def tell(self, utilities: ArrayLike) -> None:
        """Utilities, shape (P,), of the positions last asked. nan = failed: never a best, never a worst.

        ValueError: another shape, an infinite utility; the swarm is then as it was.
        """
        now, values = self._state, np.asarray(utilities, dtype=np.float64)
        if values.shape != (len(now.positions),):
            raise ValueError(f"expected {len(now.positions)} utilities, got shape {values.shape}")
        if np.isinf(values).any():
            raise ValueError("expected finite utilities, or nan for a failed particle, got an infinite one")
        better = values > now.personal_utility
        now.personal[better], now.personal_utility[better] = now.positions[better], values[better]
        now.age = np.where(better, 0, now.age + 1)
        now.cooldown = np.maximum(now.cooldown - 1, 0)
        top, bottom = np.nan_to_num(values, nan=-np.inf), np.nan_to_num(values, nan=np.inf)
        now.stalled += 1
        if top.max() > now.best_utility:  # argmax: of equals, the first
            now.best, now.best_utility, now.stalled = now.positions[top.argmax()].copy(), float(top.max()), 0
        if bottom.min() < now.worst_utility:
            now.worst, now.worst_utility = now.positions[bottom.argmin()].copy(), float(bottom.min())
        now.told = True

    def stop(self) -> dict[str, float]:
        """{} if the search should go on, else the reason: {"patience": tells without a new best}."""
        return {"patience": self._state.stalled} if self._state.stalled >= self._settings.patience else {}

    @np.errstate(over="ignore", invalid="ignore")  # checked below, with the particle's name
    def _move(self) -> None:
        """Algorithm 1, for all particles at once:

            v <- (r_v phi_v v + r_p phi_p (p - x) + r_g phi_g (g - x) + r_w phi_w (x - g_w)) / C
            x <- x + lambda v

        with C the sum of the four weights, p a particle's best, g and g_w the swarm's best and worst. A particle that
        is due returns to p instead. One array of the positions' size is made on the way.
        """
        now, settings = self._state, self._settings
        if not now.moves:
            self._start_velocities()
        back = self._restarting()
        now.positions[back], now.velocities[back] = now.personal[back], 0
        now.cooldown[back] = settings.restart_tells
        x, v = now.positions, now.velocities
        weights, lengths = self._weights(~back)
        total = weights.sum(axis=1, keepdims=True)
        weights[np.isinf(now.personal_utility), 1] = 0  # no personal best yet; C stays as it is
        weights[:, 2:] *= np.isfinite(now.best_utility)
        total, weights, lengths = (array.astype(x.dtype) for array in (total, weights, lengths))
        inertia, cognitive, social, repel = weights.T[:, :, None]

        v *= inertia
        for weight, to, away in ((cognitive, now.personal, x), (social, now.best, x), (repel, x, now.worst)):
            pull = np.subtract(to, away)
            pull *= weight
            v += pull
        v /= total
        np.multiply(v, lengths, out=pull)
        x += pull

        now.moves += 1
        if not np.isfinite(x).all():
            raise NumberError(
                f"particle {int(np.isfinite(x).all(axis=1).argmin())} of the swarm left the finite numbers in move "
                f"{now.moves}; set bounds to 'clip' or 'rescale', or shorten step_length"
            )
        self._bound(~back)
        now.step = max(now.step * settings.step_factor, min(now.step, settings.min_step_length))

    def _weights(self, moving: NDArray[np.bool_]) -> tuple[Array, Array]:
        """r phi of the four terms, shape (P, 4), and the step's length, (P, 1). A particle at rest keeps v and x."""
        now, settings = self._state, self._settings
        r = np.ones((len(moving), 4))
        if settings.coefficients_random:
            r[moving] = self._rng.uniform(0, 1, (int(moving.sum()), 4))
        phi = r * (settings.inertia, settings.cognitive, settings.social, settings.repel)
        still = ~moving | (phi.sum(axis=1) == 0)
        phi[still] = (1, 0, 0, 0)
        lengths = np.where(still, 0, now.step)[:, None]
        return phi, lengths

    def _restarting(self) -> NDArray[np.bool_]:
        """Which particles are due to go back to their personal best, and have one."""
        now, settings = self._state, self._settings
        due = (now.age >= settings.restart_tells) & (now.cooldown == 0)
        return np.asarray(due & np.isfinite(now.personal_utility) & settings.restart, dtype=np.bool_)

    def _bound(self, moved: NDArray[np.bool_]) -> None:
        """Bring the particles that `moved` back within reach, if bounds are set."""
        now = self._state
        if self._settings.bounds == "none":
            return
        for i in np.flatnonzero(moved & (np.abs(now.positions).max(axis=1) > now.reach)):
            x = now.positions[i]
            if self._settings.bounds == "rescale":
                x *= now.reach / float(np.abs(x).max())
            else:
                now.velocities[i][np.abs(x) > now.reach] = 0
                np.clip(x, -now.reach, now.reach, out=x)

    def _start_velocities(self) -> None:
        now, count = self._state, len(self._state.positions)
        if self._settings.velocity == "best" and now.best_utility > -np.inf:
            now.velocities[:] = now.best - now.positions
        if self._settings.velocity == "random" and count > 1:
            others = (np.arange(count) + self._rng.integers(1, count, count)) % count
            now.velocities[:] = now.positions[others]
            now.velocities -= now.positions

    def state(self) -> dict[str, object]:
        """Everything, as numpy arrays (copies) and JSON-able values, the generator's state included: the checkpoint."""
        kept = {name: copy(value) for name, value in vars(self._state).items()}
        extremes = np.array([kept.pop("best_utility"), kept.pop("worst_utility")])  # JSON has no infinity
        return kept | {"extremes": extremes, "rng": _plain(self._rng.bit_generator.state)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], settings: SwarmSettings) -> Swarm:
        """The swarm saved as `state`; it continues bit for bit, also after np.savez and JSON.

        ValueError if the state names no bit generator of numpy.
        """
        kind = getattr(np.random, state["rng"]["bit_generator"], None)
        if not isinstance(kind, type) or not issubclass(kind, np.random.BitGenerator):
            raise ValueError(f"expected a bit generator of numpy, got {state['rng']['bit_generator']!r}")
        bits = kind()
        bits.state = state["rng"]
        swarm = cls(state["positions"], settings, np.random.Generator(bits))
        best, worst = (float(value) for value in state["extremes"])
        whole = {**state, "best_utility": best, "worst_utility": worst}
        kept: dict[str, Any] = {one.name: copy(whole[one.name]) for one in fields(SwarmState)}
        swarm._state = SwarmState(**kept)
        return swarm


def _plain(value: object) -> object:
    """`value` with arrays as lists: some bit generators keep arrays in their state."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
