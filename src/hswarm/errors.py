"""Every error a user can meet, in one tree.

* HSwarmError            anything hswarm refuses, with a remedy in its text; exit status 1
  x UserError            the request was wrong; exit status 2, one line
    + ConfigError        a recipe or a `--set`: all faults at once
    + PoolError          an expert, a pool or a base model
    + TaskError          a task's data or its splits
    + RunError           a run's directory
    + ConsentError       a file asks for a connection, a key or code that the user has not allowed
    + MissingExtra       an optional dependency is not installed
  x EngineError          an engine could not answer
  x StorageError         a run's files cannot be written: full disk, no access, a failing device
  x NumberError          NaN or infinity arose in a computation; also a ValueError

A message says what was expected, what was found instead and what to do.
"""

from __future__ import annotations

import shutil


class HSwarmError(Exception):
    """Base of all errors raised on purpose."""

    exit_status = 1


class UserError(HSwarmError):
    """The user's request cannot be met as it stands."""

    exit_status = 2


class ConfigError(UserError):
    """A recipe or an override is wrong; `faults` lists every one found."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[str]]]:  # it may cross from process to process
        return ConfigError, (self.faults,)


class PoolError(UserError):
    """An expert, a pool of them, or their base model cannot be used."""


class TaskError(UserError):
    """A task's data, splits or scorer cannot be used."""


class RunError(UserError):
    """A run's directory cannot be used as asked."""


class ConsentError(UserError):
    """A recipe, run, bundle or pool asks for what the user has not allowed (consent.py)."""


class MissingExtra(UserError):
    """An optional dependency is not installed; any of `extras` brings it, and the one for this machine is named."""

    def __init__(self, feature: str, *extras: str) -> None:
        self._parts = feature, *extras
        extra = "gpu" if "gpu" in extras and shutil.which("nvidia-smi") else extras[0]
        super().__init__(f"{feature} needs an optional dependency: pip install 'hswarm[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, ...]]:
        return MissingExtra, self._parts


class EngineError(HSwarmError):
    """An engine could not be started or failed while answering."""


class StorageError(HSwarmError):
    """A run's files cannot be written; what was written before is whole."""


class NumberError(HSwarmError, ValueError):
    """A computation gave a number that is not finite; the message says where."""
